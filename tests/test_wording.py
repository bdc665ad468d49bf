from hallmark.wording import did_you_mean, readable, short_names


def test_readable_writes_abbreviations_as_readers_know_them():
    assert [readable(name) for name in ("macro_f1", "auroc", "text_length")] == [
        "macro F1",
        "AUROC",
        "text length",
    ]


def test_the_nearest_name_is_asked_for_and_none_where_none_is_near():
    assert did_you_mean("val/acuracy", ["val/loss", "val/accuracy"]) == "; did you mean val/accuracy?"
    assert did_you_mean("x", ["val/loss", "val/accuracy"]) == ""


def test_short_names_are_the_last_parts_unless_that_is_ambiguous():
    keys = ["model.optimizer.lr", "model.head.lr", "data.batch_size", "seed", "model.seed"]
    assert list(short_names(keys).values()) == ["optimizer.lr", "head.lr", "batch_size", "seed", "model.seed"]
