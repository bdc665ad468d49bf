"""The stages of GenConViT: what each trains, and that together they learn."""

import torch
from lightning import Trainer
from pytest import mark, raises

from hallmark.checks import SettingError
from hallmark.systems.deepfake.genconvit.network import Redrawn

from ..members import NETWORK, frames, genconvit, recipe


class Epochs:
    """A module that is told its epoch, and takes steps without a trainer."""

    def __init__(self, member) -> None:
        self.member, self.epoch = member, 0
        type(member).current_epoch = property(lambda _: self.epoch)
        self.optimizer = torch.optim.AdamW(member.parameters(), 4e-3, weight_decay=0.0)

    def enter(self, epoch: int) -> None:
        self.epoch = epoch
        self.member.train()
        self.member._enter_stage()

    def step(self, batch) -> None:
        self.optimizer.zero_grad()
        self.member.loss(batch).backward()
        self.optimizer.step()

    def error(self, batch) -> float:
        self.member.eval()
        with torch.no_grad():
            return float(self.member.redraw(batch).error())


def member_of(variant="vae", **changes):
    torch.manual_seed(0)
    module = genconvit(variant, **changes)
    module.__class__ = type("Untrained", (type(module),), {})  # so that a property of it is no other test's
    return Epochs(module)


def changed(before: dict, member) -> set[str]:
    """The parts of the network of which a parameter or a statistic is another one."""
    after = member.network.state_dict()
    names = {name for name, tensor in before.items() if not torch.equal(tensor, after[name])}
    return {name.partition(".")[0] for name in names}


@mark.parametrize("variant", ["ed", "vae"])
def test_each_stage_changes_its_parts_alone(variant):
    epochs, batch = member_of(variant), frames(8)
    everything = {"drawing", "networks", "joins", "embed_stages", "classifier"}
    for epoch, parts in enumerate([{"drawing"}, everything - {"drawing"}, everything]):
        before = {name: tensor.clone() for name, tensor in epochs.member.network.state_dict().items()}
        epochs.enter(epoch)
        epochs.step(batch)
        assert changed(before, epochs.member) == parts, epoch


def test_a_stage_is_a_function_of_the_epoch():
    member = genconvit(stages={"autoencoder": 2, "heads": 1})
    assert [member.stage(epoch) for epoch in range(5)] == ["autoencoder", "autoencoder", "heads", "joint", "joint"]
    single = genconvit(stages={"autoencoder": 0, "heads": 0})
    assert single.stage(0) == "joint"


@mark.parametrize("variant", ["ed", "vae"])
def test_the_reconstruction_error_falls(variant):
    epochs, batch = member_of(variant, stages={"autoencoder": 1, "heads": 0}), frames(16)
    untrained = epochs.error(batch)
    epochs.enter(0)
    for _ in range(80):
        epochs.step(batch)
    assert epochs.error(batch) < 0.6 * untrained


def test_the_joint_loss_is_the_sum_of_its_three_terms():
    epochs, batch = member_of(stages={"autoencoder": 0, "heads": 0}, mse_weight=2.0, kl_weight=0.5), frames(8)
    member = epochs.member.eval()
    with torch.no_grad():
        redrawn = member.redraw(batch)
        logits = member.network.classifier(member.network.embed(redrawn))
        entropy = torch.nn.functional.cross_entropy(logits, batch["target"])
        expected = entropy + 2 * (redrawn.enlarged() - redrawn.image).square().mean() + 0.5 * redrawn.divergence()
        torch.testing.assert_close(member.loss(batch), expected)


@mark.parametrize("name", ["mse_weight", "kl_weight"])
def test_a_term_without_a_weight_is_not_computed(monkeypatch, name):
    uncounted = {"mse_weight": "error", "kl_weight": "divergence"}[name]
    monkeypatch.setattr(Redrawn, uncounted, lambda redrawn: 1 / 0)
    stages = {"autoencoder": 0, "heads": 0}
    member_of(stages=stages, **{name: 0.0}).member.loss(frames(8)).backward()
    with raises(ZeroDivisionError):
        member_of(stages=stages).member.loss(frames(8))


@mark.parametrize(("epochs", "passes"), [(2, False), (3, True), (-1, True)])
def test_stages_that_leave_no_joint_epoch_are_refused(epochs, passes):
    trainer = Trainer(max_epochs=epochs, accelerator="cpu", logger=False, enable_checkpointing=False)
    member = genconvit(stages={"autoencoder": 1, "heads": 1})
    if passes:
        member.check_trainer(trainer)
        return
    with raises(SettingError) as refused:
        member.check_trainer(trainer)
    assert refused.value.key == "model.stages"
    genconvit(stages={"autoencoder": 0, "heads": 0}).check_trainer(trainer)
    trainer.limit_train_batches = 2  # to see that it runs
    member.check_trainer(trainer)


def test_pictures_of_an_epoch_show_frames_above_their_reconstructions(monkeypatch):
    member = genconvit("ed").eval()
    monkeypatch.setattr(member, "log_dict", lambda metrics: None)
    assert member.epoch_figures(0) == {}
    batch = frames(12)
    with torch.no_grad():
        member.validation_step(batch, 0)
        member.validation_step(frames(5), 1)
        drawn = member.redraw(batch).reconstruction
    sheet = torch.from_numpy(member.epoch_figures(0)["reconstruction"])
    assert sheet.shape == (2 * 32 + 1, 8 * 32 + 7, 3)
    torch.testing.assert_close(sheet[:32, :32].permute(2, 0, 1).float(), batch["image"][0] / 255)
    torch.testing.assert_close(sheet[33:, -32:].permute(2, 0, 1).float(), drawn[-1])


@mark.parametrize(
    ("key", "changes"),
    [("variant", {"variant": "gan"}), ("stages", {"stages": {"autoencoder": 1}}),
     ("stages.heads", {"stages": {"autoencoder": 0, "heads": -1}}), ("mse_weight", {"mse_weight": -1.0}),
     ("kl_weight", {"kl_weight": -1.0}), ("stages.autoencoder", {"mse_weight": 0.0}),
     ("stages.autoencoder", {"network": lambda variant: NETWORK(variant, reconstruction=False)}),
     ("network.dropout", {"network": lambda variant: NETWORK(variant, dropout=2.0)})],
)  # fmt: skip
def test_what_is_refused(key, changes):
    with raises(SettingError) as refused:
        genconvit(**{"optimizer": recipe(), **changes})
    assert refused.value.key == key
