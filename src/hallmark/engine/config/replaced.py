"""Presets that have become options of another one: what to type in place of each."""

_MODEL = "experiment=touch_balanced"
_LOOP = "experiment=refseg_loop"
_CROPS = "model.encoder.view.alpha=false model.encoder.geometry=false model.encoder.context=false"

REPLACED = {
    "touch_fixed": f"{_MODEL} model/balance=fixed",
    "touch_uncertainty": f"{_MODEL} model/balance=uncertainty",
    "touch_dwa": f"{_MODEL} model/balance=dwa",
    "touch_gradnorm": f"{_MODEL} model/balance=gradnorm",
    "touch_pcgrad": f"{_MODEL} model/balance=pcgrad",
    "touch_famo": f"{_MODEL} model/balance=famo",
    "touch_action": f"{_MODEL} 'model.terms=[action]'",
    "touch_state": f"{_MODEL} 'model.terms=[state]'",
    "touch_no_action": f"{_MODEL} 'model.terms=[state,reconstruction]'",
    "touch_no_state": f"{_MODEL} 'model.terms=[action,reconstruction]'",
    "touch_no_reconstruction": f"{_MODEL} 'model.terms=[action,state]'",
    "touch_no_augment": f"{_MODEL} data.augment=null",
    "refseg_loop_1": f"{_LOOP} model.max_iter=1",
    "refseg_loop_3": f"{_LOOP} model.max_iter=3",
    "refseg_crop": f"experiment=refseg_one_shot {_CROPS}",
    "refseg_identity": f"{_LOOP} model/rewriter=identity",
    "refseg_destructive": f"{_LOOP} model/rewriter=destructive",
    "refseg_injected": f"{_LOOP} model/rewriter=injected",
}


def replacement(preset: str) -> str | None:
    """A sentence that says what to type for a preset that was replaced; None for any other name."""
    if preset not in REPLACED:
        return None
    return (
        f"experiment={preset}: no longer a preset of its own; type {REPLACED[preset]} "
        f"(with name={preset} it is the same run as before)"
    )
