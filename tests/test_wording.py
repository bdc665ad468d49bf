from hallmark.wording import did_you_mean, readable, short_keys


def test_readable_writes_abbreviations_as_readers_know_them():
    assert [readable(name) for name in ("macro_f1", "auroc", "text_length")] == [
        "macro F1",
        "AUROC",
        "text length",
    ]


def test_the_nearest_name_is_asked_for_and_none_where_none_is_near():
    assert did_you_mean("val/acuracy", ["val/loss", "val/accuracy"]) == "; did you mean val/accuracy?"
    assert did_you_mean("x", ["val/loss", "val/accuracy"]) == ""


def test_keys_are_as_short_as_they_differ():
    keys = ["model.optimizers.generator.lr", "model.optimizers.discriminator.lr", "seed", "data.batch_size"]
    assert short_keys(keys) == ["generator.lr", "discriminator.lr", "seed", "batch_size"]
    assert short_keys(["a.b", "b"]) == ["a.b", "b"]
