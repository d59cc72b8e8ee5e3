"""Recurrent modules in the styles of public repositories.

Each is written for this project after the way in which the repository in its comment does it; none
of their code is here. An entry has an example, and the reason if rnnspec refuses the module.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.autograd import Variable
from torch.nn import functional as F  # noqa: N812 - its usual name
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

Inputs = tuple[Any, ...] | dict[str, Any]


class Real(NamedTuple):
    """A module, an example of its inputs, and why it is refused: empty if it comes in."""

    make: Callable[[], nn.Module]
    example: Callable[[], Inputs]
    refused: str


MODULES: dict[str, Real] = {}


def real(example: Callable[[], Inputs], refused: str = "") -> Callable[[type], type]:
    """Return a decorator that notes a class of modules."""

    def note(kind: type) -> type:
        MODULES[kind.__name__] = Real(kind, example, refused)
        return kind

    return note


def tokens(rows: int = 3, steps: int = 6) -> torch.Tensor:
    return torch.randint(1, 9, (rows, steps))


def features(rows: int = 3, steps: int = 6, size: int = 3) -> torch.Tensor:
    return torch.randn(rows, steps, size)


def states(*shapes: tuple[int, ...]) -> tuple[torch.Tensor, ...]:
    return tuple(torch.randn(shape) for shape in shapes)


def decreasing() -> tuple[torch.Tensor, torch.Tensor]:
    lengths = torch.tensor([6, 4, 2])
    return tokens() * (torch.arange(6) < lengths[:, None]), lengths


# Language models, with a state from one call to the next.


@real(lambda: (tokens(6, 3), states((2, 3, 5), (2, 3, 5))))
class WordLanguageModel(nn.Module):
    # pytorch/examples, word_language_model/model.py
    def __init__(self) -> None:
        super().__init__()
        self.ntoken = 9
        self.drop = nn.Dropout(0.2)
        self.encoder = nn.Embedding(9, 4)
        self.rnn = nn.LSTM(4, 5, 2, dropout=0.2)
        self.decoder = nn.Linear(5, 9)

    def forward(self, input: Any, hidden: Any) -> Any:  # noqa: A002
        emb = self.drop(self.encoder(input))
        output, hidden = self.rnn(emb, hidden)
        output = self.drop(output)
        decoded = self.decoder(output)
        decoded = decoded.view(-1, self.ntoken)
        return F.log_softmax(decoded, dim=1), hidden


@real(lambda: (tokens(), states((2, 3, 4), (2, 3, 4))))
class CharLSTM(nn.Module):
    # JackFHession/pytorch-language-model, ai/model.py
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(9, 4)
        self.lstm = nn.LSTM(4, 4, 2, batch_first=True)
        self.fc = nn.Linear(4, 9)

    def forward(self, x: Any, hidden: Any) -> Any:
        out, hidden = self.lstm(self.embed(x), hidden)
        return self.fc(out.reshape(out.size(0) * out.size(1), out.size(2))), hidden


@real(lambda: (features(), states((2, 3, 5), (2, 3, 5))))
class CharRNN(nn.Module):
    # udacity/deep-learning-v2-pytorch, recurrent-neural-networks/char-rnn
    def __init__(self) -> None:
        super().__init__()
        self.n_hidden = 5
        self.lstm = nn.LSTM(3, 5, 2, dropout=0.5, batch_first=True)
        self.dropout = nn.Dropout(0.5)
        self.fc = nn.Linear(5, 3)

    def forward(self, x: Any, hidden: Any) -> Any:
        r_output, hidden = self.lstm(x, hidden)
        out = self.dropout(r_output)
        out = out.contiguous().view(-1, self.n_hidden)
        return self.fc(out), hidden


@real(lambda: (tokens(), states((1, 3, 5))[0]))
class CharGRU(nn.Module):
    # spro/char-rnn.pytorch, model.py, for whole sequences
    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Embedding(9, 4)
        self.gru = nn.GRU(4, 5, batch_first=True)
        self.decoder = nn.Linear(5, 9)

    def forward(self, inputs: Any, hidden: Any) -> Any:
        encoded = self.encoder(inputs)
        output, hidden = self.gru(encoded, hidden)
        return self.decoder(output), hidden


@real(lambda: (tokens(1, 6)[0], states((2, 6, 5))[0]))
class CharStep(nn.Module):
    # spro/char-rnn.pytorch, model.py: one character for each of the batch
    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Embedding(9, 4)
        self.gru = nn.GRU(4, 5, 2)
        self.decoder = nn.Linear(5, 9)

    def forward(self, char: Any, hidden: Any) -> Any:
        batch_size = char.size(0)
        encoded = self.encoder(char)
        output, hidden = self.gru(encoded.view(1, batch_size, -1), hidden)
        return self.decoder(output.view(batch_size, -1)), hidden


@real(lambda: (tokens(6, 3), states((1, 3, 4), (1, 3, 4))))
class TiedLanguageModel(nn.Module):
    # salesforce/awd-lstm-lm, model.py, with one layer
    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Embedding(9, 4)
        self.rnn = nn.LSTM(4, 4)
        self.decoder = nn.Linear(4, 9)
        self.decoder.weight = self.encoder.weight

    def forward(self, input: Any, hidden: Any) -> Any:  # noqa: A002
        raw, new = self.rnn(self.encoder(input), hidden)
        result = self.decoder(raw.view(raw.size(0) * raw.size(1), raw.size(2)))
        return result.view(raw.size(0), raw.size(1), -1), new


@real(lambda: (tokens(), states((1, 3, 5), (1, 3, 5))))
class NextWord(nn.Module):
    # yunjey/pytorch-tutorial, 02-intermediate/language_model/main.py
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(9, 4)
        self.lstm = nn.LSTM(4, 5, 1, batch_first=True)
        self.linear = nn.Linear(5, 9)

    def forward(self, x: Any, h: Any) -> Any:
        x = self.embed(x)
        out, (h, c) = self.lstm(x, h)
        out = out.reshape(out.size(0) * out.size(1), out.size(2))
        out = self.linear(out)
        return out, (h, c)


@real(lambda: (tokens(), *states((1, 3, 5), (1, 3, 5))))
class StatesApart(nn.Module):
    # bentrevett/pytorch-language-modeling, with both states as arguments
    def __init__(self) -> None:
        super().__init__()
        self.emb = nn.Embedding(9, 4)
        self.lstm = nn.LSTM(4, 5, batch_first=True)
        self.fc = nn.Linear(5, 9)

    def forward(self, x: Any, h: Any, c: Any) -> Any:
        out, (h, c) = self.lstm(self.emb(x), (h, c))
        return self.fc(out), h, c


@real(lambda: (tokens(),))
class LanguageModelWithoutState(nn.Module):
    # karpathy-style models of course notes: the state is returned only
    def __init__(self) -> None:
        super().__init__()
        self.emb = nn.Embedding(9, 4)
        self.rnn = nn.LSTM(4, 5, num_layers=2, batch_first=True)
        self.fc = nn.Linear(5, 9)

    def forward(self, x: Any, hidden: Any = None) -> Any:
        if hidden is None:
            out, hidden = self.rnn(self.emb(x))
        else:
            out, hidden = self.rnn(self.emb(x), hidden)
        return self.fc(out), hidden


# Sentiment and other classifiers of text.


@real(lambda: (tokens(), states((2, 3, 5), (2, 3, 5))))
class SentimentRNN(nn.Module):
    # udacity/deep-learning-v2-pytorch, sentiment-rnn
    def __init__(self) -> None:
        super().__init__()
        self.hidden_dim = 5
        self.embedding = nn.Embedding(9, 4)
        self.lstm = nn.LSTM(4, 5, 2, dropout=0.5, batch_first=True)
        self.dropout = nn.Dropout(0.3)
        self.fc = nn.Linear(5, 1)
        self.sig = nn.Sigmoid()

    def forward(self, x: Any, hidden: Any) -> Any:
        batch_size = x.size(0)
        x = x.long()
        embeds = self.embedding(x)
        lstm_out, hidden = self.lstm(embeds, hidden)
        lstm_out = lstm_out.contiguous().view(-1, self.hidden_dim)
        out = self.dropout(lstm_out)
        out = self.fc(out)
        sig_out = self.sig(out)
        sig_out = sig_out.view(batch_size, -1)
        sig_out = sig_out[:, -1]
        return sig_out, hidden


@real(decreasing)
class SentimentPacked(nn.Module):
    # vivek2301/sentiment-analysis, model.py
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(9, 4, padding_idx=0)
        self.lstm = nn.LSTM(4, 5, num_layers=2, bidirectional=True, batch_first=True)
        self.fc = nn.Linear(10, 2)
        self.dropout = nn.Dropout(0.5)

    def forward(self, text: Any, text_lengths: Any) -> Any:
        embedded = self.dropout(self.embedding(text))
        packed = pack_padded_sequence(embedded, text_lengths.cpu(), batch_first=True)
        _, (hidden, _) = self.lstm(packed)
        hidden = self.dropout(torch.cat((hidden[-2, :, :], hidden[-1, :, :]), dim=1))
        return self.fc(hidden)


@real(lambda: (tokens(),))
class AllLayersOfStates(nn.Module):
    # fyshelab/course-content, W9_RNN, with zeros as first states
    def __init__(self) -> None:
        super().__init__()
        self.n_layers, self.hidden_size = 2, 5
        self.word_embeddings = nn.Embedding(9, 4)
        self.rnn = nn.LSTM(4, 5, num_layers=2)
        self.label = nn.Linear(10, 2)

    def forward(self, sentences: Any) -> Any:
        x = self.word_embeddings(sentences).permute(1, 0, 2)
        hidden = (
            torch.zeros(self.n_layers, x.shape[1], self.hidden_size).to(x.device),
            torch.zeros(self.n_layers, x.shape[1], self.hidden_size).to(x.device),
        )
        _, hidden = self.rnn(x, hidden)
        h_n = hidden[0].permute(1, 0, 2)
        h_n = h_n.contiguous().view(h_n.shape[0], -1)
        return self.label(h_n)


@real(lambda: (tokens(),))
class LastStateOfMany(nn.Module):
    # prakashpandey9/Text-Classification-Pytorch, models/RNN.py
    def __init__(self) -> None:
        super().__init__()
        self.embeddings = nn.Embedding(9, 4)
        self.rnn = nn.RNN(4, 5, num_layers=2, bidirectional=True)
        self.label = nn.Linear(20, 2)

    def forward(self, sentences: Any) -> Any:
        batch = sentences.size(0)
        x = self.embeddings(sentences).permute(1, 0, 2)
        h_0 = Variable(torch.zeros(4, batch, 5))
        _, h_n = self.rnn(x, h_0)
        h_n = h_n.permute(1, 0, 2)
        h_n = h_n.contiguous().view(h_n.size()[0], h_n.size()[1] * h_n.size()[2])
        return self.label(h_n)


@real(lambda: (tokens(),))
class StatesByDirection(nn.Module):
    # text classifiers that view the states by layer and direction
    def __init__(self) -> None:
        super().__init__()
        self.emb = nn.Embedding(9, 4)
        self.gru = nn.GRU(4, 5, num_layers=2, bidirectional=True, batch_first=True)
        self.fc = nn.Linear(10, 2)

    def forward(self, x: Any) -> Any:
        _, h = self.gru(self.emb(x))
        h = h.view(2, 2, x.size(0), 5)[-1]
        return self.fc(torch.cat((h[0], h[1]), dim=1))


@real(lambda: (tokens(),))
class NameClassifier(nn.Module):
    # hunkim/PyTorchZeroToAll, 12_5 and 13: a name classifier
    def __init__(self) -> None:
        super().__init__()
        self.n_layers, self.hidden_size = 1, 5
        self.embedding = nn.Embedding(9, 4)
        self.gru = nn.GRU(4, 5, 1)
        self.fc = nn.Linear(5, 3)

    def forward(self, input: Any) -> Any:  # noqa: A002
        input = input.t()  # noqa: A001
        batch_size = input.size(1)
        hidden = self._init_hidden(batch_size)
        embedded = self.embedding(input)
        _, hidden = self.gru(embedded, hidden)
        return self.fc(hidden)

    def _init_hidden(self, batch_size: Any) -> Any:
        return Variable(torch.zeros(self.n_layers, batch_size, self.hidden_size))


@real(lambda: (tokens(),))
class AttentionNet(nn.Module):
    # prakashpandey9/Text-Classification-Pytorch, models/LSTM_Attn.py
    def __init__(self) -> None:
        super().__init__()
        self.emb = nn.Embedding(9, 4)
        self.lstm = nn.LSTM(4, 5)
        self.label = nn.Linear(5, 2)

    def attention_net(self, lstm_output: Any, final_state: Any) -> Any:
        hidden = final_state.squeeze(0)
        weights = torch.bmm(lstm_output, hidden.unsqueeze(2)).squeeze(2)
        soft = F.softmax(weights, 1)
        return torch.bmm(lstm_output.transpose(1, 2), soft.unsqueeze(2)).squeeze(2)

    def forward(self, x: Any) -> Any:
        x = self.emb(x).permute(1, 0, 2)
        output, (final_hidden, _) = self.lstm(x)
        return self.label(self.attention_net(output.permute(1, 0, 2), final_hidden))


@real(lambda: (features(),))
class AttentionWeightsToo(nn.Module):
    # szymonf6/AI-Projects, project4: the weights are a second result
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(3, 5, batch_first=True, bidirectional=True)
        self.attn = nn.Linear(10, 1)
        self.fc = nn.Linear(10, 2)

    def forward(self, x: Any) -> Any:
        out, _ = self.lstm(x)
        weights = torch.softmax(self.attn(out), dim=1)
        context = torch.sum(weights * out, dim=1)
        return self.fc(context), weights


@real(lambda: (tokens(),))
class SelfAttentionPooling(nn.Module):
    # Rayyan9477/Health-Chatbot, model.py
    def __init__(self) -> None:
        super().__init__()
        self.hidden_size = 5
        self.embedding = nn.Embedding(9, 3)
        self.lstm = nn.LSTM(3, 5, batch_first=True)
        self.attention = nn.Linear(5, 1)
        self.fc = nn.Linear(5, 2)

    def forward(self, x: Any) -> Any:
        x = self.embedding(x)
        h0 = torch.zeros(1, x.size(0), self.hidden_size).to(x.device)
        c0 = torch.zeros(1, x.size(0), self.hidden_size).to(x.device)
        lstm_out, _ = self.lstm(x, (h0, c0))
        attn = torch.softmax(self.attention(lstm_out).squeeze(-1), dim=-1)
        context = (lstm_out * attn.unsqueeze(-1).expand_as(lstm_out)).sum(1)
        return self.fc(context)


@real(lambda: (torch.tensor([[3, 4, 5, 0, 0], [3, 4, 5, 6, 7]]),))
class FloatsAsMask(nn.Module):
    # attention classifiers that add a mask of floats to the scores, as transformers do
    low: float = -1e9

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(9, 3)
        self.gru = nn.GRU(3, 5, batch_first=True)
        self.score = nn.Linear(5, 1)
        self.fc = nn.Linear(5, 2)

    def forward(self, x: Any) -> Any:
        mask = (x != 0).float()
        outputs, _ = self.gru(self.embedding(x))
        scores = self.score(outputs).squeeze(-1) + (1.0 - mask) * self.low
        return self.fc((torch.softmax(scores, -1).unsqueeze(-1) * outputs).sum(1))


@real(
    lambda: (torch.tensor([[3, 4, 5, 0, 0], [3, 4, 5, 6, 7]]),), refused="numbers of each sequence"
)
class FloatsThatLeaveWeights(FloatsAsMask):
    # the same with a number that leaves padding a weight
    low = -5.0


@real(lambda: (tokens(),))
class ContextBesideItsQuery(nn.Module):
    # attention classifiers that ask with the last state, and put it beside the context
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(9, 3)
        self.lstm = nn.LSTM(3, 5, batch_first=True)
        self.fc = nn.Linear(10, 2)

    def forward(self, x: Any) -> Any:
        outputs, (hidden, _) = self.lstm(self.embedding(x))
        query = hidden[-1]
        weights = torch.softmax(torch.bmm(outputs, query.unsqueeze(2)).squeeze(2), dim=1)
        context = torch.bmm(weights.unsqueeze(1), outputs).squeeze(1)
        return self.fc(torch.cat([context, query], dim=1))


@real(lambda: (tokens(),))
class EinsumAttention(nn.Module):
    # attention classifiers that write the sum over the steps as einsum
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(9, 3)
        self.lstm = nn.LSTM(3, 5, batch_first=True)
        self.score = nn.Linear(5, 1)
        self.fc = nn.Linear(5, 2)

    def forward(self, x: Any) -> Any:
        h, _ = self.lstm(self.embedding(x))
        a = F.softmax(self.score(torch.tanh(h)), dim=1)
        return self.fc(torch.einsum("bto,bth->bh", a, h))


@real(lambda: (tokens(),))
class MaxAndMean(nn.Module):
    # Kaggle kernels for toxic comments
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(9, 4)
        self.lstm = nn.LSTM(4, 5, bidirectional=True, batch_first=True)
        self.gru = nn.GRU(10, 5, bidirectional=True, batch_first=True)
        self.linear = nn.Linear(30, 16)
        self.out = nn.Linear(16, 1)

    def forward(self, x: Any) -> Any:
        h_lstm, _ = self.lstm(self.embedding(x))
        h_gru, hh_gru = self.gru(h_lstm)
        hh_gru = hh_gru.view(-1, 10)
        avg_pool = torch.mean(h_gru, 1)
        max_pool, _ = torch.max(h_gru, 1)
        conc = torch.cat((avg_pool, h_gru[:, -1], max_pool), 1)
        return self.out(F.relu(self.linear(conc)))


@real(lambda: (tokens(),))
class SpatialDropout(nn.Module):
    # Kaggle kernels for Jigsaw: Dropout2d over the features
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(9, 4)
        self.dropout = nn.Dropout2d(0.3)
        self.lstm = nn.LSTM(4, 5, batch_first=True)
        self.out = nn.Linear(5, 1)

    def forward(self, x: Any) -> Any:
        h = self.embedding(x)
        h = h.unsqueeze(2).permute(0, 3, 2, 1)
        h = self.dropout(h)
        h = h.permute(0, 3, 2, 1).squeeze(2)
        h, _ = self.lstm(h)
        return self.out(torch.max(h, 1)[0])


# Taggers.


@real(lambda: (tokens(1, 6)[0],))
class TutorialTagger(nn.Module):
    # pytorch/tutorials, sequence_models_tutorial.py: one sentence without a batch
    def __init__(self) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(9, 4)
        self.lstm = nn.LSTM(4, 5)
        self.hidden2tag = nn.Linear(5, 3)

    def forward(self, sentence: Any) -> Any:
        embeds = self.word_embeddings(sentence)
        lstm_out, _ = self.lstm(embeds.view(len(sentence), 1, -1))
        tag_space = self.hidden2tag(lstm_out.view(len(sentence), -1))
        return F.log_softmax(tag_space, dim=1)


@real(decreasing)
class PackedTagger(nn.Module):
    # jayavardhanr/End-to-end-Sequence-Labeling, without characters
    def __init__(self) -> None:
        super().__init__()
        self.emb = nn.Embedding(9, 4, padding_idx=0)
        self.lstm = nn.LSTM(4, 5, bidirectional=True, batch_first=True)
        self.fc = nn.Linear(10, 3)

    def forward(self, x: Any, lengths: Any) -> Any:
        packed = pack_padded_sequence(self.emb(x), lengths, batch_first=True)
        out, _ = self.lstm(packed)
        out, _ = pad_packed_sequence(out, batch_first=True)
        return F.log_softmax(self.fc(out), dim=-1)


@real(decreasing)
class SortedEncoder(nn.Module):
    # yuyunfeng666/deep-utils, LSTM_PAD_PACK_LAYER_new.py
    def __init__(self) -> None:
        super().__init__()
        self.emb = nn.Embedding(9, 4, padding_idx=0)
        self.lstm = nn.LSTM(4, 5, batch_first=True)
        self.fc = nn.Linear(5, 3)

    def forward(self, x: Any, lengths: Any) -> Any:
        sorted_lengths, idx = lengths.sort(0, descending=True)
        _, un_idx = torch.sort(idx, dim=0)
        x = self.emb(x[idx])
        packed = pack_padded_sequence(x, sorted_lengths, batch_first=True)
        out, _ = self.lstm(packed)
        out, _ = pad_packed_sequence(out, batch_first=True)
        return self.fc(torch.index_select(out, 0, un_idx))


@real(decreasing)
class SortedClassifier(nn.Module):
    # AONE-NLP/ABSA-AOAN, layers of a dynamic LSTM
    def __init__(self) -> None:
        super().__init__()
        self.emb = nn.Embedding(9, 4, padding_idx=0)
        self.lstm = nn.GRU(4, 5, batch_first=True)
        self.fc = nn.Linear(5, 3)

    def forward(self, x: Any, lengths: Any) -> Any:
        sort_idx = torch.argsort(-lengths)
        unsort_idx = torch.argsort(sort_idx)
        packed = pack_padded_sequence(self.emb(x)[sort_idx], lengths[sort_idx], batch_first=True)
        _, h = self.lstm(packed)
        return self.fc(h[-1][unsort_idx])


# Time series.


@real(lambda: (features(),))
class StockLSTM(nn.Module):
    # go-fireball/stock-predictions, stock_predictions/stock_lstm.py
    def __init__(self) -> None:
        super().__init__()
        self.num_layers, self.hidden = 2, 5
        self.lstm = nn.LSTM(3, 5, 2, batch_first=True)
        self.linear = nn.Linear(5, 1)

    def forward(self, x: Any) -> Any:
        h0 = torch.zeros(self.num_layers, x.size(0), self.hidden).requires_grad_()
        c0 = torch.zeros(self.num_layers, x.size(0), self.hidden).requires_grad_()
        out, _ = self.lstm(x, (h0.detach(), c0.detach()))
        return self.linear(out[:, -1, :])


@real(lambda: (features(), *states((2, 3, 5), (2, 3, 5))))
class StockWithStates(nn.Module):
    # james77777778/CCBDA-2019-Spring-0750730, HW3/model.py, without a loop over the steps
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(3, 5, num_layers=2, batch_first=True)
        self.out = nn.Sequential(nn.Linear(5, 4), nn.Linear(4, 1))

    def forward(self, x: Any, h_state: Any, c_state: Any) -> Any:
        r_out, (h_state, c_state) = self.lstm(x, (h_state, c_state))
        return self.out(r_out), (h_state, c_state)


@real(lambda: (features(), *states((1, 3, 5))))
class SineRNN(nn.Module):
    # MorvanZhou/PyTorch-Tutorial, 403_RNN_regressor.py
    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.RNN(3, 5, num_layers=1, batch_first=True)
        self.out = nn.Linear(5, 1)

    def forward(self, x: Any, h_state: Any) -> Any:
        r_out, h_state = self.rnn(x, h_state)
        outs = self.out(r_out.reshape(-1, 5))
        return outs.view(-1, r_out.size(1), 1), h_state


@real(lambda: (features(),))
class ForecastInitHidden(nn.Module):
    # jessicayung/blog-code-snippets, lstm-pytorch, batch first
    def __init__(self) -> None:
        super().__init__()
        self.hidden_dim, self.num_layers = 5, 2
        self.lstm = nn.LSTM(3, 5, 2, batch_first=True)
        self.linear = nn.Linear(5, 1)

    def init_hidden(self, batch_size: Any) -> Any:
        weight = next(self.parameters()).data
        return (
            weight.new(self.num_layers, batch_size, self.hidden_dim).zero_(),
            weight.new(self.num_layers, batch_size, self.hidden_dim).zero_(),
        )

    def forward(self, x: Any) -> Any:
        hidden = self.init_hidden(x.size(0))
        out, _ = self.lstm(x, hidden)
        return self.linear(out[:, -1].view(x.size(0), -1))


@real(lambda: (features(),))
class ForecastOnDevice(nn.Module):
    # gabrielloye/GRU_Prediction, main.py
    def __init__(self) -> None:
        super().__init__()
        self.hidden_dim, self.n_layers = 5, 2
        self.gru = nn.GRU(3, 5, 2, batch_first=True, dropout=0.2)
        self.fc = nn.Linear(5, 1)
        self.relu = nn.ReLU()

    def forward(self, x: Any, h: Any = None) -> Any:
        if h is None:
            device = x.device
            if device.type == "cuda":
                x = x.cuda()
            h = torch.zeros(self.n_layers, x.size(0), self.hidden_dim, device=device, dtype=x.dtype)
        out, h = self.gru(x, h)
        out = self.fc(self.relu(out[:, -1]))
        return out, h


@real(lambda: (features(),))
class LearnedStart(nn.Module):
    # forecasting models whose first states are parameters
    def __init__(self) -> None:
        super().__init__()
        self.h0 = nn.Parameter(torch.randn(2, 1, 5))
        self.c0 = nn.Parameter(torch.randn(2, 1, 5))
        self.lstm = nn.LSTM(3, 5, 2, batch_first=True)
        self.fc = nn.Linear(5, 1)

    def forward(self, x: Any) -> Any:
        batch = x.shape[0]
        h0 = self.h0.expand(-1, batch, -1).contiguous()
        c0 = self.c0.repeat(1, batch, 1)
        _, (hn, _) = self.lstm(x, (h0, c0))
        return self.fc(hn[-1])


@real(lambda: (features(),))
class LearnedRows(nn.Module):
    # encoders with a learned state of (layers, units)
    def __init__(self) -> None:
        super().__init__()
        self.start = nn.Parameter(torch.randn(2, 5))
        self.gru = nn.GRU(3, 5, 2, batch_first=True)
        self.fc = nn.Linear(5, 1)

    def forward(self, x: Any) -> Any:
        h0 = self.start.unsqueeze(1).repeat(1, x.size(0), 1)
        out, _ = self.gru(x, h0)
        return self.fc(out)


@real(lambda: (features(),))
class ChecksItsInput(nn.Module):
    # library code that checks the rank and the type of what it gets
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(3, 5, batch_first=True)
        self.fc = nn.Linear(5, 1)

    def forward(self, x: Any) -> Any:
        assert isinstance(x, torch.Tensor), "expected a tensor"
        assert x.dim() == 3, f"expected 3 axes, got {x.dim()}"
        assert x.shape[-1] == 3
        if len(x.shape) == 2:
            x = x.unsqueeze(0)
        if x.is_cuda:
            self.lstm.flatten_parameters()
        if x.dtype != torch.float32:
            x = x.float()
        out, _ = self.lstm(x)
        return self.fc(out[:, -1])


@real(lambda: (features(),))
class LastOfEmpty(nn.Module):
    # services that return early for an empty batch
    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(3, 5, batch_first=True)
        self.fc = nn.Linear(5, 2)

    def forward(self, x: Any) -> Any:
        if x.size(0) == 0 or x.numel() == 0:
            return x.new_zeros(0, 2)
        _, h = self.gru(x)
        return self.fc(h[-1:].squeeze(0))


@real(lambda: (features(),), refused="'sub' of two layers")
class Differences(nn.Module):
    # forecasts relative to the last value: NLinear and its kin, with a recurrent layer
    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(3, 5, batch_first=True)
        self.fc = nn.Linear(5, 3)

    def forward(self, x: Any) -> Any:
        last = x[:, -1:, :]
        out, _ = self.gru(x - last)
        return self.fc(out[:, -1]) + last[:, 0]


@real(lambda: (features(),))
class GatedResidual(nn.Module):
    # temporal fusion transformers: a gate of features cut in two, and a norm
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(3, 4, batch_first=True)
        self.gate = nn.Linear(4, 8)
        self.norm = nn.LayerNorm(4)
        self.out = nn.Linear(4, 1)

    def forward(self, x: Any) -> Any:
        h, _ = self.lstm(x)
        value, gate = self.gate(h).chunk(2, dim=-1)
        return self.out(self.norm(value * torch.sigmoid(gate)))


@real(lambda: (features(),))
class ConvThenRecurrent(nn.Module):
    # activity recognition: DeepConvLSTM and its kin
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(3, 4, 3, padding=1)
        self.pool = nn.MaxPool1d(2)
        self.lstm = nn.LSTM(4, 5, batch_first=True)
        self.fc = nn.Linear(5, 2)

    def forward(self, x: Any) -> Any:
        x = x.permute(0, 2, 1)
        x = self.pool(F.relu(self.conv1(x)))
        x = x.permute(0, 2, 1)
        _, (hidden, _) = self.lstm(x)
        return self.fc(hidden[-1])


# Optical character recognition and speech.


@real(lambda: (features(6, 3, 3),))
class OcrHead(nn.Module):
    # meijieru/crnn.pytorch, models/crnn.py
    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.LSTM(3, 5, bidirectional=True)
        self.embedding = nn.Linear(10, 4)

    def forward(self, input: Any) -> Any:  # noqa: A002
        recurrent, _ = self.rnn(input)
        T, b, h = recurrent.size()  # noqa: N806
        t_rec = recurrent.view(T * b, h)
        output = self.embedding(t_rec)
        return output.view(T, b, -1)


@real(lambda: (features(),))
class SpeechHead(nn.Module):
    # lischilpp/bachelor-thesis-phoneme-recognition-alignment, src/models/gru.py
    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.GRU(3, 5, num_layers=2, batch_first=True, bidirectional=True, dropout=0.1)
        self.fc = nn.Linear(10, 4)
        self.dropout = nn.Dropout(0.5)

    def forward(self, batch: Any) -> Any:
        self.rnn.flatten_parameters()
        out, _ = self.rnn(batch)
        return self.dropout(F.log_softmax(self.fc(out), dim=2))


@real(lambda: (features(), states((2, 3, 5), (2, 3, 5))))
class KeywordSpotter(nn.Module):
    # microsoft/ELL, train_classifier.py: two layers with states
    def __init__(self) -> None:
        super().__init__()
        self.lstm1 = nn.LSTM(3, 5, batch_first=True)
        self.lstm2 = nn.LSTM(5, 5, batch_first=True)
        self.fc = nn.Linear(5, 2)

    def forward(self, x: Any, hidden: Any) -> Any:
        h, c = hidden
        x, (h1, c1) = self.lstm1(x, (h[:1], c[:1]))
        x, (h2, c2) = self.lstm2(x, (h[1:], c[1:]))
        return self.fc(x[:, -1]), (torch.cat((h1, h2)), torch.cat((c1, c2)))


@real(lambda: (features(),))
class WakeWord(nn.Module):
    # Anderrrrr/AutoHousekeeper, model.py
    def __init__(self) -> None:
        super().__init__()
        self.layer_norm = nn.LayerNorm(3)
        self.lstm = nn.LSTM(3, 5, num_layers=2, batch_first=True)
        self.fc = nn.Linear(5, 1)

    def forward(self, x: Any) -> Any:
        x = self.layer_norm(x)
        hidden = (torch.zeros(2, x.shape[0], 5), torch.zeros(2, x.shape[0], 5))
        _, (hn, _) = self.lstm(x, hidden)
        return torch.sigmoid(self.fc(hn[-1]).squeeze(1))


@real(lambda: (features(),))
class SileroLike(nn.Module):
    # detectors of speech: the state of the cell is used, too
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(3, 4, batch_first=True)
        self.fc = nn.Linear(8, 1)

    def forward(self, x: Any) -> Any:
        _, (h, c) = self.lstm(x)
        return torch.sigmoid(self.fc(torch.cat((h[-1], c[-1]), dim=1)))


# Agents.


@real(lambda: (features(), states((1, 3, 5), (1, 3, 5))))
class Drqn(nn.Module):
    # lorenzobloise/drqn_c51_financial_trading, models/drqn.py, with a state
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Linear(3, 4), nn.ELU(), nn.Linear(4, 4), nn.ELU())
        self.lstm = nn.LSTM(4, 5, 1, batch_first=True)
        self.last = nn.Linear(5, 2)

    def forward(self, x: Any, hidden: Any = None) -> Any:
        if len(x.size()) == 2:
            x = x.unsqueeze(0)
        if hidden is not None:
            out, hidden = self.lstm(self.first(x), hidden)
        else:
            out, hidden = self.lstm(self.first(x))
        return self.last(out), hidden


@real(lambda: (features(), *states((1, 3, 5))))
class ActorCriticGru(nn.Module):
    # marlbenchmark/on-policy, algorithms/utils/rnn.py, without episodes that end
    def __init__(self) -> None:
        super().__init__()
        self.base = nn.Linear(3, 4)
        self.rnn = nn.GRU(4, 5, batch_first=True)
        self.policy = nn.Linear(5, 2)
        self.value = nn.Linear(5, 1)

    def forward(self, obs: Any, hxs: Any) -> Any:
        x = torch.tanh(self.base(obs))
        x, hxs = self.rnn(x, hxs)
        return F.softmax(self.policy(x), dim=-1), self.value(x), hxs


@real(lambda: (features(), *states((1, 3, 4))), refused="as many features")
class DuelingDrqn(nn.Module):
    # mynkpl1998/Recurrent-Deep-Q-Learning, with an advantage relative to its mean
    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(3, 4, batch_first=True)
        self.adv = nn.Linear(4, 2)
        self.val = nn.Linear(4, 1)

    def forward(self, x: Any, h: Any) -> Any:
        out, h = self.gru(x, h)
        adv, val = self.adv(out), self.val(out)
        return val + adv - adv.mean(dim=-1, keepdim=True), h


# Encoders and decoders.


@real(lambda: (tokens(),))
class EncoderWithStates(nn.Module):
    # bentrevett/pytorch-seq2seq, 1 - Sequence to Sequence Learning: the encoder
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(9, 4)
        self.rnn = nn.LSTM(4, 5, 2, dropout=0.5)
        self.dropout = nn.Dropout(0.5)

    def forward(self, src: Any) -> Any:
        embedded = self.dropout(self.embedding(src))
        _, (hidden, cell) = self.rnn(embedded)
        return hidden, cell


@real(lambda: (tokens(),))
class EncoderOutputsAndHidden(nn.Module):
    # bentrevett/pytorch-seq2seq, 3 - Neural Machine Translation: the encoder
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(9, 4)
        self.rnn = nn.GRU(4, 5, bidirectional=True)
        self.fc = nn.Linear(10, 5)

    def forward(self, src: Any) -> Any:
        outputs, hidden = self.rnn(self.embedding(src))
        hidden = torch.tanh(self.fc(torch.cat((hidden[-2, :, :], hidden[-1, :, :]), dim=1)))
        return outputs, hidden


@real(lambda: (tokens(), tokens(3, 5)))
class SequenceToSequence(nn.Module):
    # smolPixel/French-keyphrase-generation, Model/Models.py, in whole
    def __init__(self) -> None:
        super().__init__()
        self.source = nn.Embedding(9, 4)
        self.target = nn.Embedding(9, 4)
        self.encoder = nn.GRU(4, 5, batch_first=True)
        self.decoder = nn.GRU(4, 5, batch_first=True)
        self.out = nn.Linear(5, 9)

    def forward(self, src: Any, trg: Any) -> Any:
        _, hidden = self.encoder(self.source(src))
        outputs, hidden = self.decoder(self.target(trg), hidden)
        return self.out(outputs)


@real(lambda: (features(),))
class AutoEncoder(nn.Module):
    # hellojinwoo/TorchCoder, autoencoders/rnn_autoencoder.py
    def __init__(self) -> None:
        super().__init__()
        self.enc = nn.LSTM(3, 4, batch_first=True)
        self.dec = nn.LSTM(4, 4, batch_first=True)
        self.fc = nn.Linear(4, 3)

    def forward(self, x: Any) -> Any:
        _, (last, _) = self.enc(x)
        encoded = last.squeeze(dim=0)
        repeated = encoded.unsqueeze(1).repeat(1, x.shape[1], 1)
        y, _ = self.dec(repeated)
        return self.fc(y)


@real(lambda: (tokens(), states((1, 3, 2))[0][0]))
class CaptionDecoder(nn.Module):
    # yunjey/pytorch-tutorial, 03-advanced/image_captioning: features of a picture scale the words
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(9, 4)
        self.proj = nn.Linear(2, 4)
        self.lstm = nn.LSTM(4, 5, batch_first=True)
        self.linear = nn.Linear(5, 9)

    def forward(self, captions: Any, pictures: Any) -> Any:
        v = self.proj(pictures)
        out, _ = self.lstm(v.unsqueeze(1) * self.embed(captions))
        return self.linear(out)


@real(lambda: (tokens(),))
class OneHotRNN(nn.Module):
    # character models that make the vectors of tokens themselves
    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.LSTM(9, 5, batch_first=True)
        self.fc = nn.Linear(5, 9)

    def forward(self, x: Any) -> Any:
        out, _ = self.rnn(F.one_hot(x, 9).float())
        return self.fc(out)


# More forms of attention and of inputs.


@real(lambda: ((tokens(), torch.tensor([6, 6, 6])),))
class TextRnnAttention(nn.Module):
    # 649453932/Chinese-Text-Classification-Pytorch, models/TextRNN_Att.py: a tuple as the input
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(9, 4)
        self.lstm = nn.LSTM(4, 5, 2, bidirectional=True, batch_first=True, dropout=0.5)
        self.w = nn.Parameter(torch.randn(10))
        self.fc1 = nn.Linear(10, 4)
        self.fc = nn.Linear(4, 2)

    def forward(self, x: Any) -> Any:
        emb = self.embedding(x[0])
        h, _ = self.lstm(emb)
        m = torch.tanh(h)
        alpha = F.softmax(torch.matmul(m, self.w), dim=1).unsqueeze(-1)
        out = torch.sum(h * alpha, 1)
        return self.fc(self.fc1(F.relu(out)))


@real(lambda: (tokens(),))
class WordAttention(nn.Module):
    # uvipen/Hierarchical-attention-networks-pytorch, the level of words
    def __init__(self) -> None:
        super().__init__()
        self.lookup = nn.Embedding(9, 4)
        self.gru = nn.GRU(4, 5, bidirectional=True, batch_first=True)
        self.word = nn.Linear(10, 10)
        self.context = nn.Parameter(torch.randn(10, 1))

    def forward(self, x: Any) -> Any:
        f_output, _ = self.gru(self.lookup(x))
        output = torch.tanh(self.word(f_output))
        weights = F.softmax(torch.matmul(output, self.context), dim=1)
        return (f_output * weights).sum(1)


@real(lambda: (tokens(),))
class ImplicitSoftmax(nn.Module):
    # older classifiers, whose softmax names no axis
    def __init__(self) -> None:
        super().__init__()
        self.emb = nn.Embedding(9, 4)
        self.rnn = nn.GRU(4, 5, bidirectional=True, batch_first=True)
        self.fc = nn.Linear(5, 3)
        self.softmax = nn.LogSoftmax(dim=-1)

    def forward(self, x: Any) -> Any:
        _, h = self.rnn(self.emb(x))
        return self.softmax(self.fc(h.sum(dim=0)))


@real(lambda: (torch.randn(3, 6),))
class Univariate(nn.Module):
    # forecasts of one signal, (batch, steps)
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(1, 5, batch_first=True)
        self.fc = nn.Linear(5, 1)

    def forward(self, x: Any) -> Any:
        out, _ = self.lstm(x.unsqueeze(-1))
        return self.fc(out[:, -1]).squeeze(-1)


@real(lambda: (features(), *states((3, 4, 5), (3, 4, 5))))
class StatesBatchFirst(nn.Module):
    # models for nn.DataParallel, which splits the first axis
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(3, 5, 2, bidirectional=True, batch_first=True)
        self.fc = nn.Linear(10, 2)

    def forward(self, x: Any, h: Any, c: Any) -> Any:
        h, c = h.permute(1, 0, 2).contiguous(), c.permute(1, 0, 2).contiguous()
        out, (h, c) = self.lstm(x, (h, c))
        return self.fc(out), h.permute(1, 0, 2), c.permute(1, 0, 2)


@real(lambda: (features(),))
class PolicyWithState(nn.Module):
    # thu-ml/tianshou, utils/net/common.py: a mapping of states, and a conversion of the input
    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(3, 4)
        self.nn = nn.LSTM(4, 5, batch_first=True)
        self.fc2 = nn.Linear(5, 2)

    def forward(self, obs: Any, state: Any = None) -> Any:
        obs = torch.as_tensor(obs, dtype=torch.float32)
        if len(obs.shape) == 2:
            obs = obs.unsqueeze(-2)
        self.nn.flatten_parameters()
        obs = self.fc1(obs)
        if state is None:
            obs, (hidden, cell) = self.nn(obs)
        else:
            obs, (hidden, cell) = self.nn(obs, (state["hidden"], state["cell"]))
        return self.fc2(obs[:, -1]), {"hidden": hidden.detach(), "cell": cell.detach()}


@real(lambda: (features(), (states((1, 3, 5), (1, 3, 5)))))
class RepackagedHidden(nn.Module):
    # models that cut the gradient of their states inside forward
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(3, 5, batch_first=True)
        self.fc = nn.Linear(5, 2)

    def forward(self, x: Any, hidden: Any) -> Any:
        hidden = tuple([each.data for each in hidden])
        out, hidden = self.lstm(x, hidden)
        shape = out.size()[:-1] + (2,)  # noqa: RUF005 - as people write it
        return self.fc(out.reshape(-1, out.size(-1))).view(shape), hidden


@real(lambda: (features(),))
class ClassesToo(nn.Module):
    # taggers that return their classes, too
    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(3, 5, batch_first=True)
        self.fc = nn.Linear(5, 4)

    def forward(self, x: Any) -> Any:
        assert not torch.isnan(x).any()
        logits = self.fc(self.gru(x)[0])
        return {"logits": logits, "classes": logits.argmax(dim=-1)}


@real(lambda: (features(),))
class LoopOverSteps(nn.Module):
    # MorvanZhou/PyTorch-Tutorial, 403_RNN_regressor.py: a layer for each step
    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.RNN(3, 5, batch_first=True)
        self.out = nn.Linear(5, 1)

    def forward(self, x: Any) -> Any:
        r_out, _ = self.rnn(x)
        return torch.stack([self.out(r_out[:, t, :]) for t in range(r_out.size(1))], dim=1)


@real(lambda: (features(),), refused="what a tensor holds")
class DataCondition(nn.Module):
    # code that asks what is in its input
    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(3, 5, batch_first=True)

    def forward(self, x: Any) -> Any:
        out, _ = self.gru(x)
        if out.mean() > 0:
            out = -out
        return out


@real(lambda: (features(),), refused="some of the features")
class FeaturesApart(nn.Module):
    # models with a branch for each group of features
    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.GRU(2, 5, batch_first=True), nn.GRU(1, 5, batch_first=True)

    def forward(self, x: Any) -> Any:
        return torch.cat([self.one(x[:, :, :2])[0], self.two(x[:, :, 2:])[0]], dim=-1)


@real(lambda: (features(),), refused="draws random numbers")
class Vae(nn.Module):
    # variational encoders of sequences
    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(3, 5, batch_first=True)
        self.mu, self.logvar = nn.Linear(5, 2), nn.Linear(5, 2)

    def forward(self, x: Any) -> Any:
        h = self.gru(x)[1][-1]
        mu, logvar = self.mu(h), self.logvar(h)
        return mu + torch.randn_like(logvar) * torch.exp(0.5 * logvar)


@real(lambda: (features(),))
class SineCells(nn.Module):
    # pytorch/examples, time_sequence_prediction/train.py
    def __init__(self) -> None:
        super().__init__()
        self.lstm1 = nn.LSTMCell(3, 5)
        self.linear = nn.Linear(5, 1)

    def forward(self, x: Any) -> Any:
        outputs = []
        h = torch.zeros(x.size(0), 5)
        c = torch.zeros(x.size(0), 5)
        for step in x.split(1, dim=1):
            h, c = self.lstm1(step.squeeze(1), (h, c))
            outputs += [self.linear(h)]
        return torch.stack(outputs, dim=1)


@real(lambda: (features(),), refused="draws random numbers")
class RandomStart(nn.Module):
    # fyshelab/course-content, W9_RNN: first states are drawn
    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.GRU(3, 5, batch_first=True)
        self.fc = nn.Linear(5, 1)

    def forward(self, x: Any) -> Any:
        h0 = torch.randn(1, x.size(0), 5)
        out, _ = self.rnn(x, h0)
        return self.fc(out)
