"""The filters of `llmhive models` by price, and by what the gate holds back."""

from __future__ import annotations

from typing import Any

from tests.fake_openrouter import FakeOpenRouter, Record, catalog, model, ok
from tests.support import Command


def priced(name: str, prompt: str, completion: str, **more: Any) -> Record:
    return model(f"acme/{name}", pricing={"prompt": prompt, "completion": completion}, **more)


def ids(llmhive: Command, *words: str) -> list[str]:
    return [it["id"].removeprefix("acme/") for it in llmhive("models", *words)["data"]]


def test_models_in_a_range_of_prices_and_what_is_held(llmhive: Command, fake: FakeOpenRouter) -> None:
    others = [priced(f"other-{number:02}", "0.00001", "0.00005") for number in range(40)]
    small = priced("small", "0.0000005", "0.000001")
    fake.serve(ok(catalog(*others, small, priced("large", "0.000003", "0.000015", expiration_date="2030-01-31"))))
    llmhive("sync")
    assert ids(llmhive, "--min-prompt", "0.5", "--max-prompt", "3") == ["large", "small"]
    assert ids(llmhive, "--min-prompt", "0.51", "--max-prompt", "3") == ["large"]
    assert ids(llmhive, "--min-completion", "1", "--max-completion", "14.9") == ["small"]
    assert ids(llmhive, "--sort", "expiring", "--limit", "2") == ["large", "other-00"]
    assert ids(llmhive, "--held") == []
    # far too cheap at once
    fake.serve(ok(catalog(*others, small, priced("large", "0.000000001", "0.000015"))))
    llmhive("sync", "--force")
    assert ids(llmhive, "--held") == ["large"]
    assert len(ids(llmhive)) == 42
