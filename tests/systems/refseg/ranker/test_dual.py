import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from hallmark.systems.refseg.ranker.dual import SIDE, VOCABULARY, DualEncoder, DualNetwork, word_dropout
from hallmark.systems.refseg.ranker.views import Regions, View

WORDS = ["the red star", "left of a blue circle"]


def trained(seed: int = 0) -> DualNetwork:
    torch.manual_seed(seed)
    network = DualNetwork()
    network.learn_words(WORDS)
    return network


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("dual") / "dual.safetensors"
    save_file(trained().state_dict(), path)
    return str(path)


@pytest.fixture
def encoder(weights):
    def encoder(*, alpha=True, geometry=True, context=True, weights=weights) -> DualEncoder:
        view = View(kind="crop", size=SIDE, alpha=alpha)
        return DualEncoder(weights=weights, view=view, geometry=geometry, context=context)

    return encoder


def regions(counts: tuple[int, ...] = (3, 2), *, channels: int = 4, seed: int = 0) -> Regions:
    rng, n = np.random.default_rng(seed), sum(counts)
    low = rng.random((n, 2)) * 0.6
    geometry = np.concatenate([low, low + 0.1 + 0.3 * rng.random((n, 2)), rng.random((n, 1)) * 0.1], 1)
    pixels = rng.integers(0, 256, (n, 4, SIDE, SIDE), dtype=np.uint8)[:, :channels]
    return Regions(pixels, geometry.astype(np.float32), np.repeat(np.arange(len(counts)), counts))


def changed(batch: Regions, **arrays) -> Regions:
    return Regions(**({name: getattr(batch, name) for name in ("pixels", "geometry", "image")} | arrays))


def embedded(encoder: DualEncoder, batch: Regions) -> torch.Tensor:
    with torch.inference_mode():
        return encoder(batch)


def test_embeddings_have_length_one(encoder):
    network = encoder()
    for vectors in (embedded(network, regions()), network.embed_texts(WORDS), network.none[None]):
        assert vectors.shape[1] == network.embedding_dim
        torch.testing.assert_close(vectors.norm(dim=1), torch.ones(len(vectors)))
    assert network.scale > 1 and not network.training and network.train().training is False


def test_alpha_is_seen_only_with_alpha(encoder):
    inverted = regions().pixels.copy()
    inverted[:, 3] = 255 - inverted[:, 3]
    seen = encoder()
    assert not torch.equal(embedded(seen, regions()), embedded(seen, changed(regions(), pixels=inverted)))
    blind = encoder(alpha=False)
    assert embedded(blind, regions(channels=3)).shape == (5, blind.embedding_dim)
    nothing = regions().pixels.copy()
    nothing[:, 3] = 0
    expected = embedded(seen, changed(regions(), pixels=nothing))
    torch.testing.assert_close(embedded(blind, regions(channels=3)), expected)


def test_places_are_seen_only_with_geometry(encoder):
    moved = changed(regions(), geometry=regions(seed=1).geometry)
    plain = encoder(geometry=False, context=False)
    assert torch.equal(embedded(plain, regions()), embedded(plain, moved))
    placed = encoder(context=False)
    assert not torch.allclose(embedded(placed, regions()), embedded(placed, moved))


def test_neighbours_are_seen_only_with_context(encoder):
    pixels = regions().pixels.copy()
    pixels[1] = 255 - pixels[1]  # a neighbour of 0 and 2; 3 and 4 are in the other image
    for network, seen in ((encoder(context=False), []), (encoder(), [0, 2])):
        before, after = embedded(network, regions()), embedded(network, changed(regions(), pixels=pixels))
        differs = [n for n in range(5) if not torch.allclose(before[n], after[n], atol=1e-6)]
        assert differs == sorted([1, *seen])
        assert network.joint == bool(seen)


@pytest.mark.parametrize("context", [True, False])
def test_neither_order_nor_company_of_images_matters(encoder, context):
    network, order = encoder(context=context), np.array([4, 0, 3, 2, 1])
    batch = regions()
    mixed = changed(batch, **{name: getattr(batch, name)[order] for name in ("pixels", "geometry", "image")})
    vectors = embedded(network, batch)
    torch.testing.assert_close(embedded(network, mixed), vectors[order], atol=1e-5, rtol=0)
    torch.testing.assert_close(embedded(network, batch.part(0, 3)), vectors[:3], atol=1e-5, rtol=0)


def test_words():
    network = trained()
    assert network.known_words == ["a", "blue", "circle", "left", "of", "red", "star", "the"]
    tokens = network.tokens(["The RED, star", "star", "", "the crimson star"])
    assert tokens.tolist() == [[9, 7, 8], [8, 0, 0], [1, 0, 0], [9, 1, 8]]
    first, second, known = network.embed_texts(["the crimson star", "the scarlet star", "the red star"])
    assert torch.equal(first, second) and not torch.allclose(first, known)


def test_what_stands_after_a_text_does_not_matter():
    network = trained().eval()
    alone, beside = network.embed_texts(["red star"])[0], network.embed_texts(["red star", WORDS[1]])[0]
    torch.testing.assert_close(alone, beside)


def test_word_order_matters():
    network = trained()
    first, second = network.embed_texts(["red left of blue", "blue left of red"])
    assert not torch.allclose(first, second, atol=1e-3)


@pytest.mark.parametrize("texts", [[f"w{n}" for n in range(VOCABULARY + 1)], ["x" * 17]])
def test_too_many_words(texts):
    with pytest.raises(ValueError, match="there is room for 64 of 16"):
        DualNetwork().learn_words(texts)


def test_words_are_forgotten_at_random():
    tokens = torch.tensor([[5, 6, 7, 0]]).expand(4000, -1)
    torch.manual_seed(0)
    dropped = word_dropout(tokens, 0.2)
    assert (dropped[:, 3] == 0).all()
    assert (dropped[:, :3] == 1).float().mean() == pytest.approx(0.2, abs=0.02)
    assert ((dropped == tokens) | (dropped == 1)).all()


def test_settings_name_all_that_embeddings_depend_on(encoder, tmp_path):
    save_file(trained(seed=1).state_dict(), tmp_path / "other.safetensors")
    base = encoder().settings()
    assert base == encoder().settings()
    others = [
        encoder(alpha=False), encoder(geometry=False, context=False), encoder(context=False),
        encoder(weights=str(tmp_path / "other.safetensors")),
    ]  # fmt: skip
    all_settings = [base, *(variant.settings() for variant in others)]
    assert all(left != right for n, left in enumerate(all_settings) for right in all_settings[n + 1 :])


def test_a_file_brings_its_words(encoder):
    assert encoder().network.known_words == trained().known_words


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"view": View(kind="crop", size=32)}, "view.size=32: expected 24"),
        ({"view": View(kind="global_local", size=SIDE)}, "view.kind='global_local'"),
        ({"geometry": False}, "context=True: expected false without geometry"),
        ({"weights": "nowhere"}, "weights='nowhere'"),
        ({"weights": "gone.safetensors"}, "no such file"),
    ],
)
def test_wrong_settings(weights, arguments, message):
    settings = {"weights": weights, "view": View(kind="crop", size=SIDE), "geometry": True, "context": True}
    with pytest.raises(ValueError, match=message):
        DualEncoder(**(settings | arguments))


def test_weights_of_another_network(tmp_path):
    save_file(DualNetwork(width=32).state_dict(), tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match="weights do not fit this architecture"):
        DualEncoder(weights=str(tmp_path / "other.safetensors"), view=View(kind="crop", size=SIDE), geometry=True,
                    context=True)  # fmt: skip
