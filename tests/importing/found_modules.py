"""Recurrent modules in the styles of public repositories: one sequence, one step, and examples.

They are as those of ``real_modules``: written for this project, each after the way of a repository.
"""

from __future__ import annotations

from typing import Any

import torch
from importing.public_modules import MODULES, real, vectors
from importing.real_modules import features, states, tokens
from torch import nn
from torch.nn import functional as F  # noqa: N812 - its usual name
from torch.nn.utils.rnn import pack_padded_sequence, pack_sequence, pad_packed_sequence

__all__ = ["MODULES"]

LENGTHS = torch.tensor([4, 6, 2])


# One sequence, without a batch.


@real(lambda: (torch.randn(6),))
class PriceSeries(nn.Module):
    # tutorials of flight passengers and prices: one series of numbers, its last prediction
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(1, 5)
        self.linear = nn.Linear(5, 1)

    def forward(self, series: Any) -> Any:
        out, _ = self.lstm(series.view(len(series), 1, -1))
        predictions = self.linear(out.view(len(series), -1))
        return predictions[-1]


@real(lambda: (torch.randn(6, 3),))
class UnbatchedGRU(nn.Module):
    # gymnasium agents that step through one episode
    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(3, 5, batch_first=True, bidirectional=True)
        self.head = nn.Linear(10, 2)

    def forward(self, episode: Any) -> Any:
        out, _ = self.gru(episode)
        return self.head(torch.tanh(out))


@real(lambda: (torch.randn(6, 3),))
class SingleBatch(nn.Module):
    # linkinpark213/pytorch-lstm-toy, with a batch of one inside forward
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(3, 5, batch_first=True)
        self.head = nn.Linear(5, 2)

    def forward(self, x: Any) -> Any:
        out, _ = self.lstm(x.unsqueeze(0))
        return self.head(out.squeeze(0))


@real(lambda: (tokens(1, 6)[0],))
class SurnameClass(nn.Module):
    # hungnm-aime/postag-lstm-pytorch: both final states of one word
    def __init__(self) -> None:
        super().__init__()
        self.emb = nn.Embedding(9, 4)
        self.lstm = nn.LSTM(4, 5, bidirectional=True)
        self.fc = nn.Linear(10, 3)

    def forward(self, word: Any) -> Any:
        _, (h, _) = self.lstm(self.emb(word).unsqueeze(1))
        return F.log_softmax(self.fc(torch.cat((h[0], h[1]), 1)), dim=1)


@real(lambda: (tokens(1, 6)[0], states((1, 1, 5), (1, 1, 5))))
class SentenceWithState(nn.Module):
    # prediction of the next word of a text, which is one sequence, with a state of its own
    def __init__(self) -> None:
        super().__init__()
        self.emb = nn.Embedding(9, 4)
        self.lstm = nn.LSTM(4, 5)
        self.fc = nn.Linear(5, 9)

    def forward(self, text: Any, state: Any) -> Any:
        out, state = self.lstm(self.emb(text).view(len(text), 1, -1), state)
        return self.fc(out.view(len(text), -1)), state


@real(lambda: (features(6, 3, 4),))
class FixedBatch(nn.Module):
    # jsta/lstm-pytorch, scripts/99_lstm_class.py: the batch is a number of the module
    def __init__(self) -> None:
        super().__init__()
        self.batch_size = 3
        self.lstm = nn.LSTM(4, 5)
        self.linear = nn.Linear(5, 1)

    def forward(self, x: Any) -> Any:
        out, _ = self.lstm(x.view(len(x), self.batch_size, -1))
        return self.linear(out[-1].view(self.batch_size, -1)).view(-1)


# One step.


@real(lambda: (*vectors(3), states((1, 3, 5))[0]))
class StepDecoder(nn.Module):
    # rakesh-yadav/PyTorch-RNN-Tutorial, Model/EncDec.py
    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.GRU(3, 5)
        self.linear = nn.Linear(5, 3)

    def forward(self, x: Any, hidden: Any) -> Any:
        out, hidden = self.rnn(x.unsqueeze(0), hidden)
        return self.linear(out.squeeze(0)), hidden


@real(lambda: (tokens(1, 3)[0], states((1, 3, 5))[0]))
class SessionStep(nn.Module):
    # hungthanhpham94/GRU4REC-pytorch, lib/model.py: the next item of each session
    def __init__(self) -> None:
        super().__init__()
        self.look_up = nn.Embedding(9, 4)
        self.gru = nn.GRU(4, 5)
        self.h2o = nn.Linear(5, 9)

    def forward(self, item: Any, hidden: Any) -> Any:
        output, hidden = self.gru(self.look_up(item.unsqueeze(0)), hidden)
        output = output.view(-1, output.size(-1))
        return torch.tanh(self.h2o(output)), hidden


@real(lambda: (*vectors(3), states((1, 3, 5))[0]))
class PpoStep(nn.Module):
    # datvodinh/recurrent-ppo, model_v2/model.py
    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
        self.rnn = nn.GRU(4, 5, batch_first=True)
        self.policy = nn.Linear(5, 2)

    def forward(self, state: Any, hidden: Any, seq_length: Any = 1) -> Any:
        out = self.encoder(state)
        out = out.reshape(out.shape[0] // seq_length, seq_length, out.shape[1])
        out, hidden = self.rnn(out, hidden)
        out = out.reshape(out.size(0) * out.size(1), out.size(2))
        return self.policy(out), hidden


@real(lambda: (*vectors(3), [[*vectors(5, 5)], [*vectors(5, 5)]]))
class CellPair(nn.Module):
    # AyumuSASAGAWA/Pytorch-LSTMandLSTMCell, Pytorch-LSTMCell/module/Class.py
    def __init__(self) -> None:
        super().__init__()
        self.lstm1, self.lstm2 = nn.LSTMCell(3, 5), nn.LSTMCell(5, 5)
        self.linear = nn.Linear(5, 2)

    def forward(self, x: Any, hiddens: Any) -> Any:
        h1, c1 = self.lstm1(x, hiddens[0])
        h2, c2 = self.lstm2(h1, hiddens[1])
        return self.linear(h2), [[h1, c1], [h2, c2]]


@real(lambda: vectors(3, 5, 5))
class UnusedCellState(nn.Module):
    # HHorimoto/pytorch-rnn, src/models/models.py: of a GRU, a state is passed through
    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.GRUCell(3, 5)
        self.linear = nn.Linear(5, 1)

    def forward(self, x: Any, hx: Any, cx: Any) -> Any:
        hx = self.rnn(x, hx)
        return self.linear(hx), hx, cx


@real(lambda: (features(), states((1, 3, 5), (1, 3, 5))))
class OptionalState(nn.Module):
    # deligentfool/DRQN_pytorch, drqn_cartpole.py: a tuple is asked whether it is there
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(3, 5, batch_first=True)
        self.fc = nn.Linear(5, 2)

    def forward(self, observation: Any, hidden: Any = None) -> Any:
        if not hidden:
            zeros = torch.zeros([1, observation.size(0), 5])
            hidden = (zeros, zeros)
        x, hidden = self.lstm(observation, hidden)
        return self.fc(x), hidden


# Loops that call a layer for one step after the other.


@real(lambda: (features(), states((1, 3, 5))[0]))
class GruByStep(nn.Module):
    # decoders with teacher forcing, such as those of pytorch/tutorials for batches
    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(3, 5, batch_first=True)
        self.out = nn.Linear(5, 2)

    def forward(self, x: Any, hidden: Any) -> Any:
        outputs = []
        for step in range(x.size(1)):
            output, hidden = self.gru(x[:, step : step + 1], hidden)
            outputs.append(self.out(output))
        return torch.cat(outputs, dim=1), hidden


@real(lambda: (features(),))
class LstmByStep(nn.Module):
    # worldup/lstm-pytorch-remaining-useful-life-prediction, main.py, along the steps
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(3, 5, 2)
        self.fc = nn.Linear(5, 2)

    def forward(self, x: Any) -> Any:
        h, c = torch.zeros(2, x.size(0), 5), torch.zeros(2, x.size(0), 5)
        for step in x.split(1, dim=1):
            _, (h, c) = self.lstm(step.transpose(0, 1), (h, c))
        return torch.relu(self.fc(h[-1]))


@real(lambda: (features(),))
class StepsOfAnAttribute(nn.Module):
    # Zhenye-Na/DA-RNN, src/model.py, without its attention: as many steps as the module says
    def __init__(self) -> None:
        super().__init__()
        self.steps = 6
        self.cell = nn.LSTMCell(3, 5)
        self.fc = nn.Linear(5, 2)

    def forward(self, x: Any) -> Any:
        h, c = torch.zeros(x.size(0), 5), torch.zeros(x.size(0), 5)
        for step in range(self.steps):
            h, c = self.cell(x[:, step, :], (h, c))
        return self.fc(h)


@real(lambda: (features(),), refused="another state than that of the step before")
class ChangedState(nn.Module):
    # loops that change the state from one step to the next
    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(3, 5, batch_first=True)

    def forward(self, x: Any) -> Any:
        hidden, outputs = torch.zeros(1, x.size(0), 5), []
        for step in range(x.size(1)):
            output, hidden = self.gru(x[:, step : step + 1], hidden)
            hidden = torch.tanh(hidden)
            outputs.append(output)
        return torch.cat(outputs, dim=1)


# Lengths, and what stands at padding.


@real(lambda: ((features(), LENGTHS),))
class SentenceVector(nn.Module):
    # ToyeshC/NLI_LSTM, models.py: a packed sequence has no axis order of its own
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(3, 5, bidirectional=True)
        self.fc = nn.Linear(10, 2)

    def forward(self, sentences: Any) -> Any:
        x, lengths = sentences
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        _, (h, _) = self.lstm(packed)
        return self.fc(torch.cat((h[0], h[1]), dim=-1))


@real(lambda: (tokens(), LENGTHS))
class LengthsOfNumpy(nn.Module):
    # anneleonore/pytorch-projects, rnn_model2.py
    def __init__(self) -> None:
        super().__init__()
        self.emb = nn.Embedding(9, 4, padding_idx=0)
        self.rnn = nn.LSTM(4, 5, batch_first=True)
        self.fc = nn.Linear(5, 1)

    def forward(self, text: Any, lengths: Any) -> Any:
        out = pack_padded_sequence(
            self.emb(text), lengths.cpu().numpy(), enforce_sorted=False, batch_first=True
        )
        _, (hidden, _) = self.rnn(out)
        return torch.sigmoid(self.fc(hidden[-1, :, :]))


@real(lambda: (tokens(), LENGTHS))
class SortedWithDropout(nn.Module):
    # xiaobaicxy/machine-translation-seq2seq-pytorch, seq2seq.py
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(9, 4)
        self.project = nn.Linear(4, 4)
        self.gru = nn.GRU(4, 5, batch_first=True)
        self.dropout = nn.Dropout(0.1)

    def forward(self, x: Any, lengths: Any) -> Any:
        lengths, order = lengths.sort(0, descending=True)
        embed = self.dropout(self.project(self.embedding(x[order.long()])))
        packed, hidden = self.gru(pack_padded_sequence(embed, lengths, batch_first=True))
        out, _ = pad_packed_sequence(packed, batch_first=True)
        _, back = order.sort(0, descending=False)
        return out[back.long()].contiguous(), hidden[:, back.long()].contiguous()


@real(lambda: (tokens(), *vectors(3), states((1, 3, 5), (1, 3, 5))))
class ContextBesideWords(nn.Module):
    # yurayli/image-caption-pytorch, model.py: copies of a vector as a list
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(9, 4)
        self.lstm = nn.LSTM(7, 5, batch_first=True)
        self.linear = nn.Linear(5, 9)

    def forward(self, words: Any, image: Any, hidden: Any) -> Any:
        _, steps = words.size()
        copies = torch.cat([image.unsqueeze(1)] * steps, 1)
        output, hidden = self.lstm(torch.cat([self.embed(words), copies], -1), hidden)
        return self.linear(output), hidden


@real(lambda: (features(),))
class SqueezedLogits(nn.Module):
    # PiotrSobczak/speech-emotion-recognition, models.py: a squeeze that drops no axis
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(3, 5, batch_first=True)
        self.label = nn.Linear(5, 4)

    def forward(self, x: Any) -> Any:
        _, (h, _) = self.lstm(x)
        return self.label(h[-1]).squeeze(1)


# What no meaning of the arguments makes a network.


@real(lambda: (features(),), refused="draws random numbers")
class DrawnStates(nn.Module):
    # FernandoLpz/Text-Generation-BiLSTM-PyTorch, src/model.py
    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.LSTMCell(3, 5)

    def forward(self, x: Any) -> Any:
        h, c = torch.zeros(x.size(0), 5), torch.zeros(x.size(0), 5)
        torch.nn.init.kaiming_normal_(h)
        for step in range(x.size(1)):
            h, c = self.cell(x[:, step], (h, c))
        return h


@real(lambda: vectors(3, 5), refused="which calls none of these")
class NameClassifier(nn.Module):
    # pytorch/tutorials, char_rnn_classification_tutorial.py: a recurrence by its own equations
    def __init__(self) -> None:
        super().__init__()
        self.i2h, self.i2o = nn.Linear(8, 5), nn.Linear(8, 2)

    def forward(self, letter: Any, hidden: Any) -> Any:
        combined = torch.cat((letter, hidden), 1)
        return F.log_softmax(self.i2o(combined), dim=1), torch.tanh(self.i2h(combined))


@real(lambda: (torch.randint(0, 5, (3, 6, 2)), features()), refused="is an argument each")
class SeveralTokens(nn.Module):
    # ash1ra/PyTorch-RNN-TimeSeries-Bikes, model.py
    def __init__(self) -> None:
        super().__init__()
        self.embeddings = nn.ModuleList([nn.Embedding(5, 2), nn.Embedding(5, 2)])
        self.rnn = nn.LSTM(7, 5, batch_first=True)

    def forward(self, kinds: Any, x: Any) -> Any:
        parts = [embed(kinds[:, :, i]) for i, embed in enumerate(self.embeddings)]
        return self.rnn(torch.cat([*parts, x], dim=-1))[0]


@real(lambda: (pack_sequence([torch.randn(6, 3), torch.randn(4, 3)]),), refused="PackedSequence")
class TakesPacked(nn.Module):
    # onurbil/emotion_from_speech, models.py
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(3, 5, batch_first=True)

    def forward(self, packed: Any) -> Any:
        return pad_packed_sequence(self.lstm(packed)[0], batch_first=True)[0][:, -1]


@real(lambda: (features(), features()))
class Siamese(nn.Module):
    # SavaStevanovic/club_name_matcher, model/project/model/LSTM.py
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(3, 5, batch_first=True)

    def forward(self, one: Any, other: Any) -> Any:
        return self.lstm(one)[1][0][-1], self.lstm(other)[1][0][-1]


@real(lambda: (tokens(6, 3),), refused="numbers that the module keeps")
class CalledBefore(nn.Module):
    # clairett/pytorch-sentiment-classification, bilstm.py, which has been called
    def __init__(self) -> None:
        super().__init__()
        self.embeddings = nn.Embedding(9, 4)
        self.lstm = nn.LSTM(4, 5)
        self.hidden = (torch.ones(1, 3, 5), torch.ones(1, 3, 5))

    def forward(self, sentence: Any) -> Any:
        x = self.embeddings(sentence).view(len(sentence), 3, -1)
        out, self.hidden = self.lstm(x, self.hidden)
        return out[-1]


@real(lambda: (features(),), refused="keeps a state")
class KeepsOneTensor(nn.Module):
    # deep-learning courses: a state that is an attribute of the module
    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(3, 5, batch_first=True)
        self.hidden = torch.zeros(1, 3, 5)

    def forward(self, x: Any) -> Any:
        out, self.hidden = self.gru(x, self.hidden)
        return out


@real(lambda: (features(),), refused="torch.stack")
class WritesSteps(nn.Module):
    # Zhenye-Na/DA-RNN, src/model.py: outputs that are written into a tensor
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(3, 5, batch_first=True)

    def forward(self, x: Any) -> Any:
        out = torch.zeros(x.size(0), 6, 5)
        out[:, 0:6, :] = self.lstm(x)[0]
        return out


@real(lambda: (features(),), refused="operations of PyTorch on tensors")
class LeavesPyTorch(nn.Module):
    # jiaxiang-cheng/PyTorch-LSTM-for-RUL-Prediction, model.py
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(3, 5, batch_first=True)

    def forward(self, x: Any) -> Any:
        _, (h, _) = self.lstm(x)
        return torch.tensor(h[-1].tolist())
