"""Write docs/architectures.md from the sweep's results: `python docs/architectures_page.py`."""

import json
from pathlib import Path
from typing import Any

from corarec.files import atomic_file

PAGE = Path(__file__).parent / "architectures.md"
RESULT = Path(__file__).parents[1] / "benchmarks" / "results" / "architectures.json"

INTRODUCTION = """\
# Which language models CoRA adapts

(The tables of this page are written by `python docs/architectures_page.py` from the results of
`python benchmarks/architectures.py`.)

## How the layers are found

Roles are `q`, `k`, `v`, `o` of the attention and `gate`, `up`, `down` of the feed-forward. They
are found by the names that the layers of a block bear together: `q_proj`, `k_proj`, `v_proj` and
`o_proj` are an attention, `query_key_value` and `dense` are one, too, and so on for the
conventions in `src/corarec/adapter/architectures.py`. What bears these names and is no attention
of the text to itself is left: towers for images and sound, attention to another input, recurrent
layers.

- **Fused layers** (`qkv_proj`): some of the roles can be adapted alone where the place of their
  rows is known (GPT-2, GPT-NeoX, BLOOM, Phi-3, MPT, Persimmon); elsewhere q, k and v only
  together.
- **Attention and recurrence in turn** (Qwen3-Next, Jamba, Bamba, MiniMax, Zamba2): the blocks
  with attention are adapted, the others are left.
- **Latent attention** (DeepSeek): `q` is the layer that makes the heads' queries (`q_b_proj`, or
  `q_proj` where there is no latent query), `k` and `v` together are `kv_b_proj`, `o` is `o_proj`.
  The layers that make the latent vectors are left. `k` without `v` is refused.
- **Experts**: the feed-forward of a mixture is refused, because a router mixes the rows of the
  batch.
- **No attention** (Mamba, RWKV, xLSTM), or a role in several kinds of layers: an error that names
  the layers to choose from.

## Say yourself which layers

```yaml
system:
  name: cora
  targets: [up]
  layers:
    - {path: backbone.layers.*.mixer.in_proj, roles: [up]}
```

In Python it is `CoraConfig(layers=[LayerPattern(path=..., roles=...)])`. `*` stands for one name
between dots, such as the number of a block. The role is a name of your choice where none fits. Of
a fused layer name all roles in their order; with `layout: stacked` (all rows of q, then those of
k) or `layout: per_head` some of them can be adapted alone. A layer must read `[B, T, width]`, be
called as a module, and see the rows of the batch in their order: what does not is refused by its
name in the first forward pass, and a layer that is never called is named in a warning.

## Threads, copies, compilation

- `disable_adapter` holds for the thread that it is called in; `set_adapter` and a merged pair
  hold for all. A thread that disables the adapter while a pair is merged reads the frozen
  weights, and the pair stays merged.
- A model can be copied, pickled, and compiled as a whole. Gradient checkpointing must be the
  non-reentrant kind; the other is refused.
- `torch.nn.DataParallel` runs other threads, so it is refused while the adapter is disabled.
- q, k and v share the product of their common input with `A`. An input that a layer changes in
  place is multiplied anew, except in `torch.inference_mode()` and inside a compiled model, where
  torch does not count changes.
"""


def page() -> str:
    """Return the text of the page."""
    result = json.loads(RESULT.read_text("utf-8"))
    families: dict[str, dict[str, Any]] = result["families"]
    working = {name: record for name, record in families.items() if record.get("holds")}
    refused = {name: record for name, record in families.items() if "refused" in record}
    others = {name: families[name] for name in families if name not in working | refused}
    lines = [
        INTRODUCTION,
        f"## Tried with transformers {result['transformers']}\n",
        f"One small random model of each of {len(families)} families. **{len(working)} hold the "
        "whole contract**: step 0 and the disabled adapter equal the frozen model bit for bit, "
        "rows of a batch equal rows alone, every `P` and the generator get a gradient, saving, "
        "merging and late activation work, and every block with attention is adapted.\n",
        "| family | roles | adapted blocks | where `q` is |",
        "|---|---|---|---|",
        *(
            f"| {name} | {' '.join(record['roles'])} | {record['blocks']} of "
            f"{record['attention_blocks']} | `{'`, `'.join(record['layers']['q'])}` |"
            for name, record in working.items()
        ),
        f"\nRefused, with an error ({len(refused)}):\n",
        "| family | reason |",
        "|---|---|",
        *(f"| {name} | {_reason(record['refused'])} |" for name, record in refused.items()),
        f"\nNot tried to the end ({len(others)}): no small model could be built or run, which says "
        "nothing about a real one.\n",
        "| family | what was in the way |",
        "|---|---|",
        *(
            f"| {name} | {_cell(record.get('fails') or record.get('unbuilt') or '')} |"
            for name, record in others.items()
        ),
    ]
    return "\n".join(lines) + "\n"


def _reason(refusal: str) -> str:
    for words, reason in (
        ("encoder with a decoder", "an encoder with a decoder"),
        ("in both directions", "an encoder, which reads in both directions"),
        ("several kinds", "several kinds of layers for one role: choose in `layers`"),
        ("does not know where", "no layers of known names: choose in `layers`"),
        ("no linear layer for", "no attention of known names: choose in `layers`"),
    ):
        if words in refusal:
            return reason
    return _cell(refusal)


def _cell(text: str) -> str:
    return text.split(". ")[0][:100].replace("|", "/").replace("*", "\\*").strip()


def main() -> None:
    """Write the page."""
    with atomic_file(PAGE) as temporary:
        temporary.write_text(page(), "utf-8")
    print(f"Written to {PAGE}")


if __name__ == "__main__":
    main()
