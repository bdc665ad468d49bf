"""The student: what its teacher sees and answers, and what becomes of both in a fit."""

from functools import partial

import pytest
import torch
from lightning import Trainer
from tests.systems.characters.conftest import NAMES
from torch import nn
from torch.nn.functional import cross_entropy

from hallmark.checks import SettingError
from hallmark.data.augment import LightAugment
from hallmark.features.store import tensors_digest
from hallmark.learning.distillation import KnowledgeDistillation
from hallmark.learning.encoders.timm_image import TimmImageEncoder
from hallmark.learning.optim import Optimizer
from hallmark.runs.parents import Use
from hallmark.systems.characters.distil import CharacterStudent
from hallmark.systems.characters.module import CharacterClassifier
from hallmark.systems.characters.sample.world import KNOWN

KD = KnowledgeDistillation(weight=0.9, temperature=4.0, warmup=0.0)


def network(cls=CharacterClassifier, *, image_size=32, mean=0.5, frozen=False, **arguments):
    encoder = partial(
        TimmImageEncoder, name="test_efficientnet", weights="random", image_size=image_size, crop_pct=1.0,
        interpolation=None, mean=[mean] * 3, std=[0.5] * 3, frozen=frozen, options={},
    )  # fmt: skip
    optimizer = Optimizer(lr=1e-3, lr_scale=1, head_lr=1e-3, weight_decay=0, schedule="cosine", warmup=0)
    settings = {
        "encoder": encoder, "dropout": 0.0, "norm_eval": False, "classes": ["a", "b", "c"], "optimizer": optimizer,
        "freeze_epochs": 0, "label_smoothing": 0.0, "class_balance": 0.0,
    }  # fmt: skip
    return cls(**{**settings, **arguments})


def student(**arguments) -> CharacterStudent:
    return network(CharacterStudent, **{"distillation": KD, "cross_entropy": 0.1, **arguments})


def pixels(size: int = 32) -> torch.Tensor:
    return torch.randint(0, 256, (4, 3, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def taught(teacher: nn.Module, **arguments) -> CharacterStudent:
    module = student(**arguments)
    module.attach_parents({"teacher": teacher.requires_grad_(False).eval()})
    return module


def test_the_teacher_is_asked_by_the_names_of_its_classes():
    teacher = network(classes=["d", "c", "a", "b"])
    answers = teacher.eval()({"image": pixels()}).detach()
    torch.testing.assert_close(taught(teacher).teacher_logits({"image": pixels()}), answers[:, [2, 3, 1]])


def test_a_teacher_that_lacks_a_class_is_refused_by_its_name():
    with pytest.raises(SettingError, match=r"does not know b$") as refused:
        taught(network(classes=["a", "c"]))
    assert refused.value.key == "teacher"


def test_a_teacher_that_is_no_classifier_of_characters_is_refused():
    with pytest.raises(SettingError) as refused:
        taught(nn.Linear(2, 3))
    assert refused.value.key == "teacher"


def test_the_teacher_normalizes_the_pixels_of_the_student_by_its_own_statistics_at_its_own_size():
    teacher = network(mean=0.1)
    seen: list[torch.Tensor] = []
    teacher.encoder.model.register_forward_pre_hook(lambda layer, inputs: seen.append(inputs[0]))
    taught(teacher).teacher_logits({"image": pixels()})
    torch.testing.assert_close(seen[0], (pixels() / 255 - 0.1) / 0.5)
    larger = network(mean=0.1, image_size=64)
    larger.encoder.model.register_forward_pre_hook(lambda layer, inputs: seen.append(inputs[0]))
    flat = torch.full((1, 3, 32, 32), 51, dtype=torch.uint8)
    taught(larger).teacher_logits({"image": flat})
    torch.testing.assert_close(seen[1], torch.full((1, 3, 64, 64), 0.2), atol=1e-4, rtol=0)


def test_the_control_is_a_scaled_cross_entropy_without_a_teacher():
    assert CharacterStudent.parent_roles({"distillation": None}) == {}
    assert CharacterStudent.parent_roles({"distillation": {"temperature": 4}}) == {"teacher": Use.WEIGHTS}
    control = student(distillation=None, cross_entropy=10.0).eval()
    batch = {"image": pixels(), "target": torch.tensor([0, 1, 2, 0])}
    torch.testing.assert_close(control.loss(batch), 10 * cross_entropy(control(batch), batch["target"]))


@pytest.mark.parametrize(
    ("key", "arguments"),
    [("cross_entropy", {"cross_entropy": -1.0}), ("cross_entropy", {"cross_entropy": 0.0, "distillation": None}),
     ("encoder.frozen", {"frozen": True})],
)  # fmt: skip
def test_a_student_that_cannot_learn_is_refused(key, arguments):
    with pytest.raises(SettingError) as refused:
        student(**arguments)
    assert refused.value.key == key


@pytest.mark.filterwarnings("ignore")
def test_a_fit_teaches_with_the_augmented_batch_and_leaves_the_teacher_as_it_was(world, characters, capsys):
    data = characters(folder=str(world / KNOWN), classes=NAMES, augment=LightAugment(0.8, 0.5, 0.2))
    torch.manual_seed(0)
    teacher = network(classes=NAMES[::-1])
    teacher.head[-1].weight.data *= 100  # so that it is surer of some answers than of others
    module = taught(teacher, classes=NAMES)
    data.prepare()
    data.configure_inputs(module.inputs, None)
    seen: dict[str, list[torch.Tensor]] = {"teacher": [], "student": []}
    for name, network_ in (("teacher", teacher), ("student", module)):
        network_.encoder.register_forward_pre_hook(lambda layer, inputs, name=name: seen[name].append(inputs[0]))
    before = {"teacher": tensors_digest(teacher.state_dict()), "student": tensors_digest(module.state_dict())}
    trainer = Trainer(
        max_epochs=1, limit_train_batches=2, accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
    )  # fmt: skip
    trainer.fit(module, datamodule=data)
    assert tensors_digest(teacher.state_dict()) == before["teacher"] and not teacher.training
    assert tensors_digest(module.state_dict()) != before["student"]
    of_teacher, of_student = seen["teacher"][-2:], seen["student"][:2]
    assert all(map(torch.equal, of_teacher, of_student))
    plain = {split: list(data.eval_dataloader(split)) for split in ("train", "val")}
    assert not any(torch.equal(of_teacher[0][0], image) for batch in plain["train"] for image in batch["image"])

    table = module.training_logs()["teacher"].set_index("split")
    for split, batches in plain.items():
        answers = torch.cat([module.teacher_logits(batch) for batch in batches]).softmax(dim=1).double()
        right = answers.argmax(dim=1) == torch.cat([batch["target"] for batch in batches])
        entropy = -(answers * answers.log()).sum(dim=1).mean().item()
        expected = [len(answers), right.double().mean().item(), entropy]
        assert table.loc[split, ["rows", "accuracy", "entropy"]].tolist() == pytest.approx(expected, rel=1e-4)
    assert (table["softened_entropy"] > table["entropy"]).all()
    assert "gap" in capsys.readouterr().out
