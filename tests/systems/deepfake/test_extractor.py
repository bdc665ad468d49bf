"""Embeddings of members from their checkpoints, and of models of timm."""

from functools import partial

import numpy as np
import timm
import torch
from PIL import Image
from pytest import fixture, mark, raises
from torch.utils.data import DataLoader, TensorDataset

from hallmark.checks import SettingError, UserError
from hallmark.learning.encoders.weights import MissingWeightsError
from hallmark.runs.record import Provenance, Record, RunState
from hallmark.systems.deepfake import FeatureExtractor
from hallmark.systems.deepfake.genconvit.published import PublishedNetwork

from .genconvit.sizes import CONVNEXT, SWIN, sized
from .members import TIMM, classifier, frames, genconvit

BATCH = frames(7)
LOADER = DataLoader(TensorDataset(BATCH["image"], BATCH["target"]), batch_size=3)


PUBLISHED = partial(
    PublishedNetwork, image_size=64, width=2, weights="random", convnext=sized(CONVNEXT, num_classes=12),
    swin=sized(SWIN, num_classes=12, img_size=64),
)  # fmt: skip


@fixture(scope="module")
def stored(tmp_path_factory):
    """A function from a member to the folder of a run with its checkpoint, as Lightning writes it."""
    root = tmp_path_factory.mktemp("runs")

    def stored(member, name="best"):
        path = root / name / "checkpoints" / "best.ckpt"
        path.parent.mkdir(parents=True, exist_ok=True)
        checkpoint = {"state_dict": member.state_dict(), "epoch": 3}
        member._trainer = type("Trainer", (), {"strategy": None})()
        member.on_save_checkpoint(checkpoint)
        torch.save(checkpoint, path)
        return path.parent.parent

    return stored


MEMBERS = {
    "stage1": lambda: classifier(member="stage1"),
    "effnet": lambda: classifier(TIMM),
    "genconvit_ed": lambda: genconvit("ed"),
    "genconvit_vae": lambda: genconvit("vae"),
}


@mark.parametrize("name", MEMBERS)
@mark.parametrize("prefix", ["", "deepfake_"])
def test_embeddings_of_a_member_are_what_its_last_layer_sees(stored, name, prefix):
    member = MEMBERS[name]().eval()
    folder = stored(member, name)
    with torch.no_grad():
        expected = member.embedding(BATCH).numpy()
    for path in (folder, folder / "checkpoints" / "best.ckpt", str(folder)):
        extractor = FeatureExtractor(prefix + name, path)
        embeddings, labels = extractor.extract(LOADER)
        assert embeddings.shape == (7, extractor.embedding_dim) and embeddings.dtype == "float32"
        torch.testing.assert_close(torch.from_numpy(embeddings), torch.from_numpy(expected), rtol=1e-4, atol=1e-5)
        assert labels.tolist() == BATCH["target"].tolist() and labels.dtype == "int64"
    assert extractor.class_to_idx == {"real": 0, "fake": 1}
    assert extractor.transform.settings == member.encoder.transform.settings


def test_a_member_as_published_draws_the_noise_of_a_rows_number(stored):
    member = genconvit("vae", PUBLISHED, stages={"autoencoder": 0, "heads": 0}, mse_weight=1.0).eval()
    batch = frames(5, size=64)
    with torch.no_grad():
        expected = member.embedding(batch)
    loader = DataLoader(TensorDataset(batch["image"], batch["target"]), batch_size=3)
    embeddings, _ = FeatureExtractor("genconvit_vae", stored(member, "published")).extract(loader)
    torch.testing.assert_close(torch.from_numpy(embeddings), expected, rtol=1e-4, atol=1e-5)


def test_normalized_floats_and_batches_by_name_give_the_same(stored):
    member = classifier(TIMM).eval()
    extractor = FeatureExtractor("effnet", stored(member, "floats"))
    expected, labels = extractor.extract(LOADER)
    by_name, same = extractor.extract([{"image": BATCH["image"], "target": BATCH["target"]}])
    torch.testing.assert_close(torch.from_numpy(by_name), torch.from_numpy(expected))
    assert same.tolist() == labels.tolist()
    values = member.encoder.normalized(BATCH["image"])
    floats, _ = extractor.extract([(values, BATCH["target"])])
    torch.testing.assert_close(torch.from_numpy(floats), torch.from_numpy(expected), rtol=1e-3, atol=1e-4)
    _, none = extractor.extract([{"image": BATCH["image"]}])
    assert none.tolist() == [-1] * 7


def test_pictures_of_every_mode_become_pixels_and_arrays_are_batches(stored):
    extractor = FeatureExtractor("stage1", stored(classifier(member="stage1"), "modes"))
    gray = np.random.default_rng(0).integers(0, 256, (40, 40), np.uint8)
    deep = Image.fromarray(gray.astype(np.uint16) << 8)
    plain = extractor.transform(Image.fromarray(gray).convert("RGB"))
    for picture in (Image.fromarray(gray), Image.fromarray(gray).convert("RGBA"), deep):
        assert np.array_equal(extractor.transform(picture), plain), picture.mode
    for mode in ("P", "CMYK"):
        assert extractor.transform(Image.fromarray(gray).convert(mode)).shape == plain.shape
    assert plain.flags.writeable
    images = BATCH["image"].numpy()
    embeddings, labels = extractor.extract([(images, BATCH["target"].numpy())])
    assert np.array_equal(embeddings, extractor.extract([(BATCH["image"], BATCH["target"])])[0])
    assert labels.tolist() == BATCH["target"].tolist()


@mark.parametrize(
    "batch",
    [(BATCH["image"], BATCH["target"][:1]), (BATCH["image"], BATCH["target"].float()),
     (BATCH["image"], ["real"] * 7), (BATCH["image"][:, :1], BATCH["target"]),
     (BATCH["image"][0], BATCH["target"][:3])],
    ids=["one label", "float labels", "text labels", "one channel", "one image"],
)  # fmt: skip
def test_batches_that_are_none_are_refused(stored, batch):
    with raises(UserError):
        FeatureExtractor("stage1", stored(classifier(member="stage1"), "batches")).extract([batch])


def test_the_run_is_found_as_commands_find_it(stored):
    folder = stored(classifier(member="stage1"), "preset/1234abcd")
    Record(
        name="preset", run_id="1234abcd", state=RunState.DONE, provenance=Provenance("d" * 32, {}), seed=0,
        command=["train.py"], started="2026-01-01T00:00:00+00:00", git={}, versions={}, device={}, splits={},
        leakage={},
    ).write(folder)  # fmt: skip
    expected, _ = FeatureExtractor("stage1", folder).extract(LOADER)
    for path in (folder.parent, folder.parent / "latest"):
        assert np.array_equal(FeatureExtractor("stage1", path).extract(LOADER)[0], expected)


def test_a_model_of_timm_is_embedded_without_its_head(tmp_path):
    torch.manual_seed(0)
    model = timm.create_model("test_resnet", num_classes=5).eval()
    torch.save(model.state_dict(), tmp_path / "weights.pth")
    extractor = FeatureExtractor("test_resnet", tmp_path / "weights.pth")
    embeddings, _ = extractor.extract([(torch.zeros(2, 3, 160, 160), torch.tensor([0, 1]))])
    with torch.no_grad():
        expected = model.forward_head(model.forward_features(torch.zeros(2, 3, 160, 160)), pre_logits=True)
    torch.testing.assert_close(torch.from_numpy(embeddings), expected, rtol=1e-3, atol=1e-4)


def test_what_is_refused(stored, tmp_path):
    folder = stored(classifier(member="stage1"), "refused")
    unknown = [("effnet", folder, "model_name"), ("no_such_model", None, "model_name")]
    for name, path, key in [*unknown, ("stage1", tmp_path, "checkpoint_path")]:
        with raises(SettingError) as refused:
            FeatureExtractor(name, path)
        assert refused.value.key == key
    with raises(MissingWeightsError):
        FeatureExtractor("mobilenetv4_conv_small.e2400_r224_in1k")
    with raises(UserError):
        FeatureExtractor("stage1", folder).extract([[1, 2, 3]])


@mark.parametrize(
    "entry",
    [{}, {"class": "Popen", "arguments": {}}, {"class": "FrameClassifier", "arguments": {"member": "stage1"}},
     {"class": "FrameClassifier", "arguments": {"member": "stage1", "encoder": {"class": "system", "command": "ls"}}},
     {"class": "FrameClassifier", "arguments": {"member": "stage1", "encoder": {"class": "TextureNet", "width": 8}}}],
)  # fmt: skip
def test_a_checkpoint_builds_members_alone(tmp_path, entry):
    torch.save({"state_dict": classifier().state_dict(), "member": entry}, tmp_path / "strange.ckpt")
    with raises(UserError):
        FeatureExtractor("stage1", tmp_path / "strange.ckpt")
