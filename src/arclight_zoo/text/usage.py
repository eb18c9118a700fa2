"""Example code for exported text models: standalone programs, and folders for transformers."""

from pathlib import Path

from arclight.tasks.usage import LINES, SOFTMAX, HubUsage, Usage
from arclight_zoo.tokens.text_facts import TextFacts
from arclight_zoo.tokens.usage import (
    IMPORTS,
    PACKAGES,
    TOKENIZER,
    carried_tokenizer,
    end_token,
)

ASKS = "TEXTS.txt"
NEW = 50  # tokens that an example adds to a text


def _hub_usage(code: str, pipeline: str, *imports: str) -> HubUsage:
    """The example of a transformers folder, whose code begins with these lines of imports."""
    return HubUsage(
        asks=ASKS,
        imports=imports,
        packages=("torch",),
        code=code,
        library="transformers",
        pipeline=pipeline,
    )


def class_usage(facts: TextFacts, run: Path) -> Usage:
    """The example of a text classifier."""
    known, _ = carried_tokenizer(run, facts.context)
    code = f"""{SOFTMAX}

{TOKENIZER.strip()}
classes = json.loads(known["classes"])
{LINES}    text = text.removesuffix("\\n")
    one = tokenizer.encode(text)
    (logits,) = model(tokens=np.array([one.ids]), mask=np.array([one.attention_mask], bool))
    found = softmax(logits[0])
    chances = dict(zip(classes, found.tolist()))
    print(json.dumps({{"text": text, "label": classes[found.argmax()], "probabilities": chances}}))
"""
    return Usage(asks=ASKS, imports=IMPORTS, packages=PACKAGES, code=code, carries=known)


def class_hub_usage() -> HubUsage:
    """The example of a text classifier in a transformers folder."""
    code = f"""
ask = pipeline("text-classification", model=str(FOLDER), top_k=None)
{LINES}    text = text.removesuffix("\\n")
    (found,) = ask([text], truncation=True)  # the likeliest first
    chances = {{one["label"]: one["score"] for one in found}}
    print(json.dumps({{"text": text, "label": found[0]["label"], "probabilities": chances}}))
"""
    return _hub_usage(code, "text-classification", "from transformers import pipeline")


def next_usage(facts: TextFacts, run: Path) -> Usage:
    """The example of a language model: greedy continuation of a text."""
    known, tokenizer = carried_tokenizer(run, frame=False)
    code = f"""
{TOKENIZER.strip()}
CONTEXT, NEW, END = {facts.context}, {NEW}, {end_token(tokenizer)}  # END: the end token
{LINES}    text = text.removesuffix("\\n")
    tokens = tokenizer.encode(text, add_special_tokens=False).ids
    seen = tokens if len(tokens) < CONTEXT else tokens[-(CONTEXT // 2 + 1) :]
    for _ in range(NEW):
        seen = seen if len(seen) <= CONTEXT else seen[-(CONTEXT // 2 + 1) :]
        filled = np.array([seen + [0] * (CONTEXT - len(seen))])
        (logits,) = model(tokens=filled)
        token = int(logits[0, len(seen) - 1].argmax())
        tokens, seen = [*tokens, token], [*seen, token]
        if token == END:
            break
    print(json.dumps({{"text": text, "answer": tokenizer.decode(tokens)}}))
"""
    return Usage(asks=ASKS, imports=IMPORTS, packages=PACKAGES, code=code, carries=known)


def next_hub_usage(facts: TextFacts) -> HubUsage:
    """The example of a language model in a transformers folder."""
    code = f"""
tokenizer = AutoTokenizer.from_pretrained(FOLDER)
model = AutoModelForCausalLM.from_pretrained(FOLDER).eval()
CONTEXT, NEW = {facts.context}, {NEW}
{LINES}    text = text.removesuffix("\\n")
    tokens = tokenizer(text, add_special_tokens=False).input_ids
    seen = tokens if len(tokens) < CONTEXT else tokens[-(CONTEXT // 2 + 1) :]
    for _ in range(NEW):  # as model.generate() does, which ends at the context
        seen = seen if len(seen) <= CONTEXT else seen[-(CONTEXT // 2 + 1) :]
        with torch.inference_mode():
            token = int(model(torch.tensor([seen])).logits[0, -1].argmax())
        tokens, seen = [*tokens, token], [*seen, token]
        if token == tokenizer.eos_token_id:
            break
    answer = tokenizer.decode(tokens, skip_special_tokens=True)
    print(json.dumps({{"text": text, "answer": answer}}))
"""
    return _hub_usage(
        code,
        "text-generation",
        "import torch",
        "from transformers import AutoModelForCausalLM, AutoTokenizer",
    )


def masked_usage(facts: TextFacts, run: Path, mask: str) -> Usage:
    """The example of a masked language model; `mask` is the mask token in texts."""
    known, tokenizer = carried_tokenizer(run, facts.context, frame=False, fill=False)
    code = f"""
tokenizer = Tokenizer.from_str(known["tokenizer"])  # cuts texts to what the model takes
MASK = {tokenizer.token_to_id(mask)}  # the token of {mask}
{LINES}    text = text.removesuffix("\\n")
    tokens = np.array([tokenizer.encode(text).ids])
    (logits,) = model(tokens=tokens)
    told = np.where(tokens == MASK, logits.argmax(-1), tokens)
    print(json.dumps({{"text": text, "answer": tokenizer.decode(told[0].tolist())}}))
"""
    return Usage(asks=ASKS, imports=IMPORTS, packages=PACKAGES, code=code, carries=known)


def masked_hub_usage() -> HubUsage:
    """The example of a masked language model in a transformers folder."""
    code = f"""
tokenizer = AutoTokenizer.from_pretrained(FOLDER)
model = AutoModelForMaskedLM.from_pretrained(FOLDER).eval()
{LINES}    text = text.removesuffix("\\n")
    tokens = tokenizer(text, truncation=True, return_tensors="pt").input_ids
    with torch.inference_mode():
        found = model(tokens).logits.argmax(-1)
    told = torch.where(tokens == tokenizer.mask_token_id, found, tokens)
    answer = tokenizer.decode(told[0], skip_special_tokens=True)
    print(json.dumps({{"text": text, "answer": answer}}))
"""
    return _hub_usage(
        code,
        "fill-mask",
        "import torch",
        "from transformers import AutoModelForMaskedLM, AutoTokenizer",
    )


def pair_usage(facts: TextFacts, run: Path) -> Usage:
    """The example of a sequence-to-sequence model, with greedy decoding."""
    known, tokenizer = carried_tokenizer(run, facts.context)
    length = facts.target_context or facts.context
    code = f"""
{TOKENIZER.strip()}
LENGTH, END = {length}, {end_token(tokenizer)}  # END: the end token
{LINES}    text = text.removesuffix("\\n")
    one = tokenizer.encode(text)
    source, mask = np.array([one.ids]), np.array([one.attention_mask], bool)
    made = np.full((1, LENGTH), -100)  # what is not made yet
    for place in range(LENGTH):
        (logits,) = model(source=source, mask=mask, target=made)
        made[0, place] = logits[0, place].argmax()
        if made[0, place] == END:
            break
    answer = tokenizer.decode([token for token in made[0].tolist() if token not in (END, -100)])
    print(json.dumps({{"text": text, "answer": answer}}))
"""
    return Usage(asks=ASKS, imports=IMPORTS, packages=PACKAGES, code=code, carries=known)


def pair_hub_usage(facts: TextFacts) -> HubUsage:
    """The example of a sequence-to-sequence model in a transformers folder."""
    length = facts.target_context or facts.context
    code = f"""
tokenizer = AutoTokenizer.from_pretrained(FOLDER)
model = AutoModelForSeq2SeqLM.from_pretrained(FOLDER).eval()
{LINES}    text = text.removesuffix("\\n")
    inputs = tokenizer(text, truncation=True, return_tensors="pt")
    made = model.generate(**inputs, max_new_tokens={length}, do_sample=False, num_beams=1)
    answer = tokenizer.decode(made[0], skip_special_tokens=True)
    print(json.dumps({{"text": text, "answer": answer}}))
"""
    return _hub_usage(
        code,
        "text2text-generation",
        "from transformers import AutoModelForSeq2SeqLM, AutoTokenizer",
    )
