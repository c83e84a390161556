import lightning as L
import pytest
import torch

from kdlab.data.loader import EpochLoader, trainer_position
from tests.data.tiny import Tiny

EPOCHS = 3
BATCHES = 6


class Recorder(L.LightningModule):
    """Trains one number and records its batches; saves a checkpoint at `save_at` and stops."""

    def __init__(self, save_at=None, path=None):
        super().__init__()
        self.number = torch.nn.Parameter(torch.zeros(()))
        self.save_at, self.path = save_at, path
        self.seen, self.validated = [], []

    def training_step(self, batch, batch_idx):
        pixels = batch.inputs.double().sum().item()
        self.seen.append((self.current_epoch, batch_idx, batch.index.tolist(), batch.view.tolist(), pixels))
        return self.number**2

    def validation_step(self, batch, batch_idx):
        self.validated.append((batch.index.tolist(), batch.inputs.double().sum().item()))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)

    def on_train_batch_end(self, outputs, batch, batch_idx):
        self._perhaps_save("batch", self.current_epoch, batch_idx)

    def on_train_epoch_end(self):
        self._perhaps_save("epoch", self.current_epoch, BATCHES - 1)

    def on_validation_end(self):
        self._perhaps_save("validation", self.current_epoch, BATCHES - 1)

    def _perhaps_save(self, *moment):
        if moment == self.save_at:
            self.trainer.save_checkpoint(self.path)
            raise KeyboardInterrupt


def train(recorder, *, resume=None, **options):
    trainer = L.Trainer(
        **({} if "max_steps" in options else {"max_epochs": EPOCHS}),
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        **options,
    )
    trainer.fit(recorder, datamodule=Tiny(), ckpt_path=resume)
    return recorder


@pytest.fixture(scope="module")
def undisturbed():
    return train(Recorder())


def test_one_run_trains_on_every_batch_of_every_epoch_once(undisturbed):
    assert [seen[:2] for seen in undisturbed.seen] == [(e, b) for e in range(EPOCHS) for b in range(BATCHES)]
    for epoch in range(EPOCHS):
        index = [i for e, _, batch, *_ in undisturbed.seen if e == epoch for i in batch]
        assert len(index) == len(set(index)) == 45


def test_epochs_differ_in_order_and_views(undisturbed):
    first, second = undisturbed.seen[0], undisturbed.seen[BATCHES]
    assert first[2] != second[2] and first[3] != second[3]


@pytest.mark.parametrize(
    "moment",
    [
        *(("batch", epoch, batch) for epoch in (0, 1) for batch in (0, 2, BATCHES - 2, BATCHES - 1)),
        *(("epoch", epoch, BATCHES - 1) for epoch in (0, 1)),
        *(("validation", epoch, BATCHES - 1) for epoch in (0, 1)),
    ],
)
@pytest.mark.filterwarnings("error:.*not resumable")
@pytest.mark.parametrize("limit", [{}, {"max_steps": EPOCHS * BATCHES}])
def test_resuming_gives_exactly_the_remaining_batches(undisturbed, tmp_path, moment, limit):
    path = tmp_path / "last.ckpt"
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        train(Recorder(moment, path), **limit)
    resumed = train(Recorder(), resume=path, **limit)
    assert resumed.seen == undisturbed.seen[moment[1] * BATCHES + moment[2] + 1 :]


def test_training_images_get_views_and_validation_images_do_not(undisturbed):
    data = Tiny()
    data.setup()
    _, _, index, view, pixels = undisturbed.seen[0]
    raw = data.batch_at(0, 0)
    assert raw.index.tolist() == index and raw.view.tolist() == view
    assert data.views.apply(raw.inputs, raw.view).double().sum().item() == pixels != raw.inputs.double().sum().item()
    assert undisturbed.validated[0] == (
        (batch := next(iter(data.val_dataloader()))).index.tolist(),
        batch.inputs.double().sum().item(),
    )


def test_training_works_without_validation():
    recorder = Recorder()
    trainer = L.Trainer(max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False,
                        enable_progress_bar=False, enable_model_summary=False)  # fmt: skip
    trainer.fit(recorder, datamodule=Tiny(val_fraction=0))
    assert len(recorder.seen) == 7 and not recorder.validated


def test_limit_train_batches_shortens_the_epoch():
    seen = train(Recorder(), limit_train_batches=2).seen
    assert [moment[:2] for moment in seen] == [(e, b) for e in range(EPOCHS) for b in range(2)]


def test_the_position_is_read_at_the_first_batch_and_not_before():
    position = [0, 0]
    loader = EpochLoader(batches=9, draw=lambda *at: iter([at]), position=lambda: tuple(position))
    batches = iter(loader)
    position[:] = 4, 7
    assert list(batches) == [(4, 7)] and len(loader) == 9


def test_without_a_trainer_everything_begins_at_the_beginning():
    assert trainer_position(None) == (0, 0)
