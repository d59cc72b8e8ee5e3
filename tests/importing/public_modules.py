"""More recurrent modules in the styles of public repositories: cells, loops and first states.

They are as those of ``real_modules``: written for this project, each after the way of a repository.
"""

from __future__ import annotations

from typing import Any

import torch
from importing.real_modules import Real, decreasing, features, states, tokens
from torch import nn
from torch.nn import functional as F  # noqa: N812 - its usual name
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

MODULES: dict[str, Real] = {}


def real(example: Any, refused: str = "") -> Any:
    def note(kind: type) -> type:
        MODULES[kind.__name__] = Real(kind, example, refused)
        return kind

    return note


def vectors(*sizes: int) -> tuple[torch.Tensor, ...]:
    return tuple(torch.randn(3, size) for size in sizes)


# One step of a cell.


@real(lambda: vectors(3, 5))
class QmixAgent(nn.Module):
    # ray-project/ray, rllib/agents/qmix/agents.py
    def __init__(self) -> None:
        super().__init__()
        self.hidden = 5
        self.fc1 = nn.Linear(3, 5)
        self.rnn = nn.GRUCell(5, 5)
        self.fc2 = nn.Linear(5, 4)

    def forward(self, inputs: Any, hidden_state: Any) -> Any:
        x = F.relu(self.fc1(inputs))
        h_in = hidden_state.reshape(-1, self.hidden)
        h = self.rnn(x, h_in)
        return self.fc2(h), h


@real(lambda: vectors(3, 5))
class FeatureAgent(nn.Module):
    # uoe-agents/epymarl, src/modules/agents/rnn_feature_agent.py
    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(3, 5)
        self.rnn = nn.GRUCell(5, 5)

    def forward(self, inputs: Any, hidden_state: Any) -> Any:
        x = F.relu(self.fc1(inputs))
        return None, self.rnn(x, hidden_state.reshape(-1, 5))


@real(lambda: (vectors(3)[0], [[*vectors(5, 5)], [*vectors(4, 4)]]))
class CellStackPolicy(nn.Module):
    # trevor-richardson/collision_avoidant_reinforcement, plicy_lstm_network.py
    def __init__(self) -> None:
        super().__init__()
        self.lstm_0 = nn.LSTMCell(3, 5)
        self.lstm_1 = nn.LSTMCell(5, 4)
        self.output = nn.Linear(4, 2)

    def forward(self, x: Any, st_states: Any) -> Any:
        h_0, c_0 = self.lstm_0(x, (st_states[0][0], st_states[0][1]))
        h_1, c_1 = self.lstm_1(h_0, (st_states[1][0], st_states[1][1]))
        return F.softmax(self.output(h_1), dim=1), [[h_0, c_0], [h_1, c_1]]


@real(lambda: ((vectors(3)[0], vectors(5, 5)),))
class A3cHead(nn.Module):
    # zhoubin-me/pt-baselines, src/a3c/model.py, without the picture
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Sequential(nn.Linear(3, 4), nn.ELU())
        self.lstm = nn.LSTMCell(4, 5)
        self.fc_v, self.fc_pi = nn.Linear(5, 1), nn.Linear(5, 2)

    def forward(self, x: Any) -> Any:
        ix, (hx, cx) = x
        hx, cx = self.lstm(self.fc(ix), (hx, cx))
        return self.fc_v(hx), self.fc_pi(hx), (hx, cx)


@real(lambda: (vectors(3)[0], vectors(5, 5)))
class AcerPolicy(nn.Module):
    # Kaixhin/ACER, model.py: the value is the mean of the actions' values
    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(3, 5)
        self.lstm = nn.LSTMCell(5, 5)
        self.fc_actor, self.fc_critic = nn.Linear(5, 2), nn.Linear(5, 2)

    def forward(self, x: Any, h: Any) -> Any:
        x = F.relu(self.fc1(x))
        h = self.lstm(x, h)
        x = h[0]
        policy = F.softmax(self.fc_actor(x), dim=1)
        return policy, self.fc_critic(x), h


@real(lambda: (*vectors(2, 3), vectors(5, 5)))
class LatentStep(nn.Module):
    # ctallec/world-models, models/mdrnn.py: one step, with the parts of the mixture as one
    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.LSTMCell(5, 5)
        self.gmm_linear = nn.Linear(5, 14)

    def forward(self, action: Any, latent: Any, hidden: Any) -> Any:
        in_al = torch.cat([action, latent], dim=1)
        next_hidden = self.rnn(in_al, hidden)
        out_rnn = next_hidden[0]
        return self.gmm_linear(out_rnn), next_hidden


@real(lambda: (vectors(3)[0], states((2, 3, 5), (2, 3, 5))))
class StackedCells(nn.Module):
    # OpenNMT/OpenNMT-py, decoders with input feeding: a stack of cells
    def __init__(self) -> None:
        super().__init__()
        self.dropout = nn.Dropout(0.1)
        self.layers = nn.ModuleList([nn.LSTMCell(3, 5), nn.LSTMCell(5, 5)])

    def forward(self, input_feed: Any, hidden: Any) -> Any:
        h_0, c_0 = hidden
        h_1, c_1 = [], []
        for i, layer in enumerate(self.layers):
            h_1_i, c_1_i = layer(input_feed, (h_0[i], c_0[i]))
            input_feed = h_1_i
            if i + 1 != len(self.layers):
                input_feed = self.dropout(input_feed)
            h_1 += [h_1_i]
            c_1 += [c_1_i]
        return input_feed, (torch.stack(h_1), torch.stack(c_1))


@real(lambda: (torch.randint(1, 9, (3,)), states((1, 3, 5))[0]))
class DecoderStep(nn.Module):
    # bentrevett/pytorch-seq2seq, 2 - Learning Phrase Representations: one token of a decoder
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(9, 4)
        self.rnn = nn.GRU(4, 5)
        self.fc_out = nn.Linear(5, 9)

    def forward(self, input: Any, hidden: Any) -> Any:  # noqa: A002
        input = input.unsqueeze(0)  # noqa: A001
        output, hidden = self.rnn(self.embedding(input), hidden)
        return self.fc_out(output.squeeze(0)), hidden


# Loops over the steps with a cell.


@real(lambda: (torch.randn(3, 6),))
class HydroCells(nn.Module):
    # BorMagnus/hydro-ml, models/LSTM.py: two cells, and a layer of all steps
    def __init__(self) -> None:
        super().__init__()
        self.hidden_dim = 5
        self.lstm1, self.lstm2 = nn.LSTMCell(1, 5), nn.LSTMCell(5, 5)
        self.linear = nn.Linear(5, 2)
        self.linear_out = nn.Linear(12, 1)

    def forward(self, y: Any) -> Any:
        outputs = []
        h_t = torch.zeros(y.size(0), self.hidden_dim)
        c_t = torch.zeros(y.size(0), self.hidden_dim)
        h_t2 = torch.zeros(y.size(0), self.hidden_dim)
        c_t2 = torch.zeros(y.size(0), self.hidden_dim)
        for time_step in y.split(1, dim=1):
            h_t, c_t = self.lstm1(time_step, (h_t, c_t))
            h_t2, c_t2 = self.lstm2(h_t, (h_t2, c_t2))
            outputs.append(self.linear(h_t2))
        return self.linear_out(torch.cat(outputs, dim=1))


@real(lambda: (features(),))
class CellLoop(nn.Module):
    # jerinka/gnn-weather and other forecasts: a cell for each step, the last state
    def __init__(self) -> None:
        super().__init__()
        self.hidden_dim = 5
        self.embedding = nn.Linear(3, 4)
        self.gru_cell = nn.GRUCell(4, 5)
        self.fc = nn.Linear(5, 1)

    def forward(self, x: Any) -> Any:
        h = torch.zeros(x.size(0), self.hidden_dim, device=x.device)
        for t in range(x.size(1)):
            h = self.gru_cell(self.embedding(x[:, t, :]), h)
        return self.fc(h)


@real(lambda: (features(),))
class CellsByName(nn.Module):
    # deep recurrent networks that name their cells, with all states in a list
    def __init__(self) -> None:
        super().__init__()
        self.num_cells, self.hidden_size = 2, 5
        self.layers = nn.ModuleDict(
            {"Cell_1": nn.GRUCell(3, 5), "Cell_2": nn.GRUCell(5, 5), "out_fc": nn.Linear(5, 2)}
        )

    def forward(self, x: Any, hx: Any = None) -> Any:
        h0 = torch.zeros(self.num_cells, x.size(0), self.hidden_size) if hx is None else hx
        outs = []
        hidden = [h0[cell, :, :] for cell in range(self.num_cells)]
        for t in range(x.size(1)):
            for cell in range(self.num_cells):
                below = x[:, t, :] if cell == 0 else hidden[cell - 1]
                hidden[cell] = self.layers[f"Cell_{cell + 1}"](below, hidden[cell])
            outs.append(hidden[-1])
        return self.layers["out_fc"](outs[-1].squeeze())


@real(lambda: (features(6, 3, 3),))
class StepsFirstLoop(nn.Module):
    # HaCongNga/NLP_StanfordCourses_CS224n, a4: steps first, stacked again
    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.LSTMCell(3, 5)
        self.fc = nn.Linear(5, 2)

    def forward(self, input: Any) -> Any:  # noqa: A002
        hx = input.new_zeros(input.size(1), 5)
        cx = input.new_zeros(input.size(1), 5)
        output = []
        for i in range(input.size()[0]):
            hx, cx = self.rnn(input[i], (hx, cx))
            output.append(hx)
        return self.fc(torch.stack(output, dim=0))


@real(lambda: (tokens(),))
class UnboundLoop(nn.Module):
    # taggers over x.unbind(1), numbered by enumerate
    def __init__(self) -> None:
        super().__init__()
        self.emb = nn.Embedding(9, 4)
        self.cell = nn.LSTMCell(4, 5)
        self.out = nn.Linear(5, 3)

    def forward(self, x: Any) -> Any:
        state, outputs = None, []
        for _, step in enumerate(self.emb(x).unbind(1)):
            state = self.cell(step, state)
            outputs.append(self.out(state[0]).unsqueeze(1))
        return torch.cat(outputs, dim=1)


@real(lambda: (features(),))
class BackwardCells(nn.Module):
    # encoders of dialogues with a cell for each direction
    def __init__(self) -> None:
        super().__init__()
        self.forward_cell, self.backward_cell = nn.GRUCell(3, 5), nn.GRUCell(3, 5)
        self.fc = nn.Linear(10, 2)

    def forward(self, x: Any) -> Any:
        batch, steps, _ = x.shape
        f, b = x.new_zeros(batch, 5), x.new_zeros(batch, 5)
        for t in range(steps):
            f = self.forward_cell(x[:, t], f)
            b = self.backward_cell(x[:, steps - 1 - t], b)
        return self.fc(torch.cat((f, b), dim=1))


@real(lambda: (tokens(), vectors(2)[0]))
class CaptionCells(nn.Module):
    # sgrvinod/a-PyTorch-Tutorial-to-Image-Captioning, without attention: a cell for each word
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(9, 4)
        self.init_h, self.init_c = nn.Linear(2, 5), nn.Linear(2, 5)
        self.decode_step = nn.LSTMCell(4, 5)
        self.fc = nn.Linear(5, 9)

    def forward(self, captions: Any, picture: Any) -> Any:
        embeddings = self.embedding(captions)
        h, c = self.init_h(picture), self.init_c(picture)
        predictions = []
        for t in range(embeddings.size(1)):
            h, c = self.decode_step(embeddings[:, t, :], (h, c))
            predictions.append(self.fc(h))
        return torch.stack(predictions, 1)


@real(lambda: (features(),), refused="its own output")
class OwnOutput(nn.Module):
    # pytorch/examples, time_sequence_prediction: the steps behind the input are its own outputs
    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.LSTMCell(3, 5)
        self.linear = nn.Linear(5, 3)

    def forward(self, x: Any, future: int = 4) -> Any:
        outputs = []
        h, c = torch.zeros(x.size(0), 5), torch.zeros(x.size(0), 5)
        for step in x.split(1, dim=1):
            h, c = self.cell(step.squeeze(1), (h, c))
            output = self.linear(h)
            outputs += [output]
        for _ in range(future):
            h, c = self.cell(output, (h, c))
            output = self.linear(h)
            outputs += [output]
        return torch.stack(outputs, 1)


@real(lambda: (tokens(), tokens(3, 5)), refused="its own output")
class GreedyDecoder(nn.Module):
    # bentrevett/pytorch-seq2seq, 1: the next token is that of the highest score
    def __init__(self) -> None:
        super().__init__()
        self.source, self.target = nn.Embedding(9, 4), nn.Embedding(9, 4)
        self.encoder = nn.GRU(4, 5, batch_first=True)
        self.decoder = nn.GRUCell(4, 5)
        self.fc = nn.Linear(5, 9)

    def forward(self, src: Any, trg: Any) -> Any:
        _, h = self.encoder(self.source(src))
        h, token, outputs = h[-1], trg[:, 0], []
        for _ in range(trg.size(1)):
            h = self.decoder(self.target(token), h)
            scores = self.fc(h)
            token = scores.argmax(1)
            outputs.append(scores)
        return torch.stack(outputs, 1)


@real(lambda: (features(),))
class TimeDistributed(nn.Module):
    # OuyangWenyu/torchhydro, models/spplstm.py: a layer at each step
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(3, 5, batch_first=True)
        self.layer = nn.Linear(5, 2)

    def forward(self, x: Any) -> Any:
        x, _ = self.lstm(x)
        outputs = []
        for t in range(x.size(1)):
            output = self.layer(x[:, t, :])
            outputs.append(output.unsqueeze(1))
        return torch.cat(outputs, dim=1)


@real(lambda: (features(),), refused="by equations of its own")
class Oscillators(nn.Module):
    # tk-rusch/coRNN: equations of its own at each step
    def __init__(self) -> None:
        super().__init__()
        self.i2h, self.h2h = nn.Linear(3, 5), nn.Linear(5, 5, bias=False)
        self.readout = nn.Linear(5, 2)

    def forward(self, x: Any) -> Any:
        hy, hz = torch.zeros(x.size(0), 5), torch.zeros(x.size(0), 5)
        for t in range(x.size(1)):
            hz = hz + 0.1 * (torch.tanh(self.i2h(x[:, t]) + self.h2h(hy)) - hy - hz)
            hy = hy + 0.1 * hz
        return self.readout(hy)


# First states and captions.


@real(lambda: (vectors(4)[0], tokens()))
class PictureFirst(nn.Module):
    # thekartik-tech/image-captioning-segmentation, lstm_decoder.py
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(9, 4)
        self.lstm = nn.LSTM(4, 5, batch_first=True)
        self.linear = nn.Linear(5, 9)

    def forward(self, features: Any, captions: Any) -> Any:
        embeddings = self.embed(captions)
        inputs = torch.cat((features.unsqueeze(1), embeddings), 1)
        hiddens, _ = self.lstm(inputs)
        return self.linear(hiddens)


@real(lambda: (tokens(),), refused="takes a part of the steps")
class ShiftedCaptions(nn.Module):
    # JAGAN-JGUN/Image-Caption-Training-Pytorch, Models/Decoder.py, without the picture
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(9, 4)
        self.lstm = nn.LSTM(4, 5, batch_first=True)
        self.linear = nn.Linear(5, 9)

    def forward(self, captions: Any) -> Any:
        captions = captions[:, :-1]
        out, _ = self.lstm(self.embed(captions))
        return self.linear(out)


@real(lambda: (tokens(), tokens(3, 5)))
class RepeatedState(nn.Module):
    # decoders of two layers that both begin with the encoder's state
    def __init__(self) -> None:
        super().__init__()
        self.source, self.target = nn.Embedding(9, 4), nn.Embedding(9, 4)
        self.encoder = nn.GRU(4, 5, batch_first=True)
        self.decoder = nn.GRU(4, 5, 2, batch_first=True)
        self.fc = nn.Linear(5, 9)

    def forward(self, src: Any, trg: Any) -> Any:
        _, h = self.encoder(self.source(src))
        out, _ = self.decoder(self.target(trg), h.repeat(2, 1, 1))
        return self.fc(out)


@real(lambda: (tokens(), tokens(3, 5)))
class StateAndZeros(nn.Module):
    # decoders with more layers than the encoder, which begin with zeros
    def __init__(self) -> None:
        super().__init__()
        self.source, self.target = nn.Embedding(9, 4), nn.Embedding(9, 4)
        self.encoder = nn.GRU(4, 5, batch_first=True)
        self.decoder = nn.GRU(4, 5, 2, batch_first=True)
        self.fc = nn.Linear(5, 9)

    def forward(self, src: Any, trg: Any) -> Any:
        _, h = self.encoder(self.source(src))
        zeros = torch.zeros(1, src.size(0), 5, device=src.device)
        out, _ = self.decoder(self.target(trg), torch.cat((h, zeros), dim=0))
        return self.fc(out)


@real(lambda: (tokens(), tokens(3, 5)))
class ReducedState(nn.Module):
    # gabinho991/CS598, model/encoder.py: a layer makes the decoder's state of both directions
    def __init__(self) -> None:
        super().__init__()
        self.source, self.target = nn.Embedding(9, 4), nn.Embedding(9, 4)
        self.rnn = nn.LSTM(4, 5, bidirectional=True)
        self.fc = nn.Linear(10, 5)
        self.decoder = nn.GRU(4, 5)
        self.out = nn.Linear(5, 9)

    def forward(self, src: Any, trg: Any) -> Any:
        _, (hidden, _) = self.rnn(self.source(src.t()))
        hidden = self.fc(torch.cat((hidden[-2], hidden[-1]), dim=1)).unsqueeze(0)
        out, _ = self.decoder(self.target(trg.t()), hidden)
        return self.out(out)


@real(lambda: (tokens(),))
class StatesSideBySide(nn.Module):
    # LeonTao's chatbots, ReduceState: the states of both directions in one view
    def __init__(self) -> None:
        super().__init__()
        self.emb = nn.Embedding(9, 4)
        self.rnn = nn.LSTM(4, 5, bidirectional=True, batch_first=True)
        self.reduce_h, self.reduce_c = nn.Linear(10, 5), nn.Linear(10, 5)

    def forward(self, x: Any) -> Any:
        _, (h, c) = self.rnn(self.emb(x))
        h = h.transpose(0, 1).contiguous().view(-1, 10)
        c = c.transpose(0, 1).contiguous().view(-1, 10)
        return F.relu(self.reduce_h(h)), F.relu(self.reduce_c(c))


# What else comes.


@real(lambda: (features(),))
class DVector(nn.Module):
    # yistLin/dvector, modules/dvector.py
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(3, 5, num_layers=2, batch_first=True)
        self.embedding = nn.Linear(5, 4)

    def forward(self, x: Any) -> Any:
        self.lstm.flatten_parameters()
        lstm_out, _ = self.lstm(x)
        embeds = self.embedding(lstm_out[:, -1, :])
        norm = embeds.norm(p=2, dim=-1, keepdim=True)
        return embeds.div(norm)


@real(lambda: (features(3, 3, 6),))
class KeywordNorm(nn.Module):
    # sakharok13/KWS-with-speaker-verification-pytorch, model.py, batch first
    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.LSTM(3, 5, batch_first=True)
        self.linear = nn.Linear(5, 4)

    def forward(self, x: Any) -> Any:
        x = x.permute(0, 2, 1)
        x, _ = self.encoder(x)
        x = self.linear(x[:, -1, :]) if x.dim() == 3 else self.linear(x[-1, :])
        return x / torch.norm(x, dim=-1, keepdim=True)


@real(lambda: (features(),))
class FixedLength(nn.Module):
    # climate forecasts whose dense layers take all steps at once
    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(3, 5, batch_first=True)
        self.out_size = 30
        self.dense = nn.Sequential(nn.Linear(30, 4), nn.ReLU(), nn.Linear(4, 1))

    def forward(self, x: Any) -> Any:
        bs = x.shape[0]
        output, _ = self.gru(x)
        return self.dense(output.reshape(bs, self.out_size))


@real(lambda: (features(),), refused="keeps a state")
class KeptHidden(nn.Module):
    # LBrinkmann/ai_vs_ci, aci/neural_modules/gru.py: the state stays in the module
    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.GRU(3, 5, batch_first=True)
        self.linear = nn.Linear(5, 2)
        self.hidden = None

    def forward(self, x: Any) -> Any:
        h, self.hidden = self.rnn(x, self.hidden)
        return self.linear(h)


@real(lambda: (tokens(), torch.randint(0, 2, (3, 6))), refused="computes tokens")
class KnowledgeTracing(nn.Module):
    # pykt-team/pykt-toolkit, models/dkt.py: a number of each question and answer
    def __init__(self) -> None:
        super().__init__()
        self.num_c = 9
        self.interaction_emb = nn.Embedding(18, 4)
        self.lstm = nn.LSTM(4, 5, batch_first=True)
        self.out = nn.Linear(5, 9)

    def forward(self, q: Any, r: Any) -> Any:
        h, _ = self.lstm(self.interaction_emb(q + self.num_c * r))
        return torch.sigmoid(self.out(h))


@real(decreasing)
class SortedAgain(nn.Module):
    # espnet/espnet, tacotron2/cbhg.py: sorted by length, with the number of all steps
    def __init__(self) -> None:
        super().__init__()
        self.emb = nn.Embedding(9, 4, padding_idx=0)
        self.gru = nn.GRU(4, 5, batch_first=True, bidirectional=True)
        self.output = nn.Linear(10, 3)

    def forward(self, xs: Any, ilens: Any) -> Any:
        xs = self.emb(xs)
        sort_ilens, sort_idx = ilens.sort(0, descending=True)
        xs, ilens = xs[sort_idx], ilens[sort_idx]
        total_length = xs.size(1)
        xs = pack_padded_sequence(xs, sort_ilens, batch_first=True)
        self.gru.flatten_parameters()
        xs, _ = self.gru(xs)
        xs, ilens = pad_packed_sequence(xs, batch_first=True, total_length=total_length)
        _, revert_idx = sort_idx.sort(0)
        return self.output(xs[revert_idx]), ilens[revert_idx]


@real(lambda: (features(3, 6, 4),))
class PoseEncoder(nn.Module):
    # mkocabas/VIBE, lib/models/vibe.py: a recurrent layer beside its input
    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(4, 5, bidirectional=True, num_layers=2)
        self.linear = nn.Linear(10, 4)

    def forward(self, x: Any) -> Any:
        n, t, f = x.shape
        x = x.permute(1, 0, 2)
        y, _ = self.gru(x)
        y = self.linear(F.relu(y).view(-1, y.size(-1)))
        y = y.view(t, n, f) + x
        return y.permute(1, 0, 2)


@real(lambda: (features(), *states((1, 3, 4), (1, 3, 5))))
class NoiseSuppressor(nn.Module):
    # xiph/rnnoise, torch/rnnoise: every layer beside the next, with the states in a list
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(3, 4, kernel_size=3, padding="valid")
        self.gru1 = nn.GRU(4, 4, batch_first=True)
        self.gru2 = nn.GRU(4, 5, batch_first=True)
        self.dense = nn.Linear(13, 2)

    def forward(self, x: Any, first: Any, second: Any) -> Any:
        tmp = torch.tanh(self.conv(x.permute(0, 2, 1))).permute(0, 2, 1)
        gru1_out, first = self.gru1(tmp, first)
        gru2_out, second = self.gru2(gru1_out, second)
        out = torch.cat([tmp, gru1_out, gru2_out], dim=-1)
        return torch.sigmoid(self.dense(out)), [first, second]


@real(lambda: (tokens(), tokens(3, 5)))
class SentencePair(nn.Module):
    # facebookresearch/InferSent, models.py: one encoder of two sentences
    def __init__(self) -> None:
        super().__init__()
        self.emb = nn.Embedding(9, 4)
        self.encoder = nn.LSTM(4, 5, batch_first=True, bidirectional=True)
        self.classifier = nn.Linear(20, 3)

    def forward(self, a: Any, b: Any) -> Any:
        u = torch.max(self.encoder(self.emb(a))[0], 1)[0]
        v = torch.max(self.encoder(self.emb(b))[0], 1)[0]
        return self.classifier(torch.cat((u, v), 1))


@real(lambda: (features(),))
class RainfallRunoff(nn.Module):
    # neuralhydrology/neuralhydrology, modelzoo/cudalstm.py: a mapping of results
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(3, 5)
        self.dropout = nn.Dropout(0.4)
        self.head = nn.Linear(5, 1)

    def forward(self, x_d: Any) -> Any:
        x_d = x_d.transpose(0, 1)
        lstm_output, (h_n, c_n) = self.lstm(input=x_d)
        lstm_output = lstm_output.transpose(0, 1)
        pred = {"lstm_output": lstm_output, "h_n": h_n.transpose(0, 1), "c_n": c_n.transpose(0, 1)}
        pred["y_hat"] = self.head(self.dropout(pred["lstm_output"]))
        return pred


@real(lambda: (tokens(),))
class QueryByEinsum(nn.Module):
    # attention classifiers that write both products as einsum
    def __init__(self) -> None:
        super().__init__()
        self.emb = nn.Embedding(9, 4)
        self.gru = nn.GRU(4, 5, batch_first=True)
        self.fc = nn.Linear(5, 2)

    def forward(self, x: Any) -> Any:
        out, h = self.gru(self.emb(x))
        weights = torch.einsum("bth,bh->bt", out, h[-1]).softmax(dim=1)
        return self.fc(torch.einsum("bt,bth->bh", weights, out))


@real(lambda: (features(),))
class PooledBoth(nn.Module):
    # sensors: statistics of all steps beside the last one
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(3, 4, batch_first=True, bidirectional=True)
        self.attention = nn.Sequential(nn.Linear(8, 4), nn.Tanh(), nn.Linear(4, 1))
        self.head = nn.Sequential(nn.LayerNorm(24), nn.Linear(24, 2))

    def forward(self, x: Any) -> Any:
        out, _ = self.lstm(x)
        w = torch.softmax(self.attention(out), dim=1)
        pooled = torch.cat([(out * w).sum(dim=1), out.mean(dim=1), out.amax(dim=1)], dim=-1)
        return self.head(pooled)


@real(lambda: (features(6, 3, 4),), refused="an array of the module")
class SkipSeparation(nn.Module):
    # sigsep/open-unmix-pytorch: shift and scale that are learned, a layer beside its input
    def __init__(self) -> None:
        super().__init__()
        self.input_mean = nn.Parameter(torch.randn(4))
        self.input_scale = nn.Parameter(torch.rand(4) + 0.5)
        self.fc1 = nn.Linear(4, 6, bias=False)
        self.bn1 = nn.BatchNorm1d(6)
        self.lstm = nn.LSTM(6, 3, bidirectional=True)
        self.fc2 = nn.Linear(12, 4)

    def forward(self, x: Any) -> Any:
        nb_frames, nb_samples, _ = x.data.shape
        x = (x + self.input_mean) * self.input_scale
        x = self.fc1(x.reshape(-1, 4))
        x = self.bn1(x).reshape(nb_frames, nb_samples, 6)
        x = torch.tanh(x)
        lstm_out = self.lstm(x)
        x = torch.cat([x, lstm_out[0]], -1)
        x = self.fc2(x.reshape(-1, x.shape[-1]))
        return F.relu(x.reshape(nb_frames, nb_samples, 4))


@real(lambda: (features(), *vectors(2)))
class StaticBeside(nn.Module):
    # forecasts with what is the same at each step, as expand and cat
    def __init__(self) -> None:
        super().__init__()
        self.static = nn.Linear(2, 2)
        self.lstm = nn.LSTM(5, 5, batch_first=True)
        self.fc = nn.Linear(7, 1)

    def forward(self, x: Any, s: Any) -> Any:
        s = torch.relu(self.static(s))
        copies = s[:, None, :].expand(x.size(0), x.size(1), -1)
        out, _ = self.lstm(torch.cat((x, copies), dim=2))
        return self.fc(torch.cat((out[:, -1], s), dim=1))


@real(lambda: (features(),), refused="expected limits 0 and a positive number")
class VariationalEncoder(nn.Module):
    # variational encoders, without their noise
    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(3, 5, batch_first=True)
        self.both = nn.Linear(5, 4)

    def forward(self, x: Any) -> Any:
        h = self.gru(x)[1].squeeze(0)
        mu, logvar = torch.split(self.both(h), 2, dim=-1)
        return mu, logvar.clamp(-4.0, 4.0).exp()
