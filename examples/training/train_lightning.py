"""Train a network of a spec with Lightning, from its last checkpoint if there is one.

    python train_lightning.py characters.yaml --out trained

An epoch has --every steps, and a checkpoint at its end. Install rnnspec[torch] and ``lightning``.
"""

from typing import Any

import lightning
import progress
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from safetensors.torch import save_file
from text import Characters, fitting, read_text

import rnnspec


class Training(lightning.LightningModule):
    """The network, its batches and its optimizer."""

    def __init__(self, given: Any) -> None:
        super().__init__()
        self.given, self.spec = given, fitting(given.spec)
        self.net = rnnspec.build(self.spec, "torch", seed=given.seed)
        self.data = Characters.of(read_text(given.text), given.batch, given.seed)

    def train_dataloader(self) -> Any:  # noqa: D102 - the names are those of Lightning
        steps = range(self.global_step, self.global_step + self.given.every)
        return torch.utils.data.DataLoader([*map(self.data.batch, steps)], batch_size=None)

    def val_dataloader(self) -> Any:  # noqa: D102
        return torch.utils.data.DataLoader([self.data.validation()], batch_size=None)

    def training_step(self, batch: Any, _: int, name: str = "loss") -> torch.Tensor:  # noqa: D102
        inputs, targets = batch
        loss = torch.nn.functional.nll_loss(self.net(inputs).flatten(0, 1), targets.flatten())
        self.log(name, loss, prog_bar=True)
        return loss

    def validation_step(self, batch: Any, number: int) -> None:  # noqa: D102
        self.training_step(batch, number, "validation")

    def configure_optimizers(self) -> Any:  # noqa: D102
        makers = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}
        return makers[self.given.optimizer](self.net.parameters(), lr=self.given.rate)


@progress.one_sentence()
def main() -> None:
    """Train, or go on with a run that was stopped."""
    given = progress.parser(__doc__ or "").parse_args()
    training, last = Training(given), given.out / "checkpoint.ckpt"
    kept = ModelCheckpoint(given.out, "checkpoint", enable_version_counter=False)
    stop = EarlyStopping("validation", patience=given.patience, check_on_train_epoch_end=False)
    trainer = lightning.Trainer(
        max_steps=given.steps,
        callbacks=[kept, stop],
        logger=False,
        reload_dataloaders_every_n_epochs=1,
    )
    trainer.fit(training, ckpt_path=last if last.exists() else None)
    name = training.spec.name
    (given.out / f"{name}.py").write_text(rnnspec.codegen(training.spec, "torch"))
    with progress.whole(given.out / f"{name}.safetensors") as path:
        save_file(training.net.state_dict(), path)
    print(f"wrote {name}.py, {name}.safetensors and checkpoint.ckpt to {given.out}")


if __name__ == "__main__":
    main()
