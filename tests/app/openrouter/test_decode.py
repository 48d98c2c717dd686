"""OpenRouter's JSON → Feed: laws, the traps of the reference one by one, and real bodies against another reading."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from llmhive.app.openrouter.decode import decode
from llmhive.catalog.diff import Belief, diff
from llmhive.catalog.feed import Feed, Record
from llmhive.catalog.model import Model, Reasoning, Version
from llmhive.catalog.pricing import UNITS, Override, Pricing
from llmhive.errors import BadAnswer
from tests import oracle
from tests.catalog import strategies as our
from tests.support import captures

laws = our.laws

#: a record as served today
RECORD: dict[str, Any] = {
    "id": "acme/chat:free",
    "canonical_slug": "acme/chat-2026",
    "name": "Acme: Chat (free)",
    "created": 1777636800,
    "description": "Chats.",
    "context_length": 128_000,
    "hugging_face_id": "acme/Chat",
    "knowledge_cutoff": "2025-12-31",
    "expiration_date": "2098-12-31",
    "architecture": {
        "modality": "text+image->text",
        "input_modalities": ["text", "image"],
        "output_modalities": ["text"],
        "tokenizer": "GPT",
        "instruct_type": "chatml",
    },
    "pricing": {
        "prompt": "0.0000000416666666666667",
        "completion": "0.000002",
        "image": "0",
        "overrides": [{"min_prompt_tokens": 128_000, "prompt": "0.000001"}],
    },
    "top_provider": {"context_length": 64_000, "max_completion_tokens": 4096, "is_moderated": False},
    "per_request_limits": {"prompt_tokens": 5, "completion_tokens": None},
    "supported_parameters": ["tools", "seed"],
    "default_parameters": {"temperature": 0.7, "top_k": 40, "top_p": None},
    "supported_voices": ["echo", "alloy"],
    "links": {"details": "/api/v1/models/acme/chat-2026/endpoints"},
    "reasoning": {
        "mandatory": True,
        "default_enabled": False,
        "default_effort": "high",
        "supported_efforts": ["low", "high"],
        "supports_max_tokens": True,
    },
    "benchmarks": {"design_arena": []},
    "alias_target": {"slug": "acme/other", "name": "Acme: Other"},
}
MODEL = Model(
    id="acme/chat:free",
    canonical_slug="acme/chat-2026",
    name="Acme: Chat (free)",
    description="Chats.",
    created_at=datetime(2026, 5, 1, 12, tzinfo=UTC),
    context_length=128_000,
    max_completion_tokens=4096,
    top_context_length=64_000,
    is_moderated=False,
    input_modalities=("image", "text"),
    output_modalities=("text",),
    supported_parameters=("seed", "tools"),
    default_parameters=(("temperature", Decimal("0.7")), ("top_k", 40)),
    per_request_limits=(("prompt_tokens", 5),),
    supported_voices=("alloy", "echo"),
    tokenizer="GPT",
    instruct_type="chatml",
    pricing=Pricing(
        (("completion", Decimal("0.000002")), ("prompt", Decimal("0.0000000416666666666667"))),
        (Override((("min_prompt_tokens", 128_000),), (("prompt", Decimal("0.000001")),)),),
    ),
    hugging_face_id="acme/Chat",
    knowledge_cutoff="2025-12-31",
    expiration_date=date(2098, 12, 31),
    reasoning=Reasoning(
        mandatory=True, default_enabled=False, default_effort="high", supported_efforts=("high", "low"),
        supports_max_tokens=True,
    ),
    alias_target="acme/other",
)  # fmt: skip
#: why no NUL
NOT_KEPT = "it contains a NUL or half a surrogate pair, which no database keeps"


def body(*records: str | bytes) -> bytes:
    texts = [record if isinstance(record, bytes) else record.encode() for record in records]
    return b'{"data":[' + b",".join(texts) + b"]}"


def read(record: str | bytes | dict[str, Any]) -> Record:
    """A record that can be read."""
    feed = decode(body(json.dumps(record) if isinstance(record, dict) else record), "all")
    assert feed.unreadable == ()
    return feed.records[0]


def refused(record: str | bytes | dict[str, Any]) -> tuple[str | None, str]:
    """Id and reason of a record that cannot be read, between two that can."""
    text = json.dumps(record) if isinstance(record, dict) else record
    feed = decode(body('{"id":"good/one"}', text, '{"id":"good/two"}'), "all")
    assert ([good.id for good in feed.records], feed.rows) == (["good/one", "good/two"], 3)
    (entry,) = feed.unreadable
    assert entry.position == 1
    return entry.model_id, entry.reason


def having(**fields: Any) -> Record:
    """A record with an id, a price and these."""
    return read({"id": "a/b", "pricing": {"prompt": "1", "completion": "1"}} | fields)


def priced(pricing: Any) -> Record:
    return having(pricing=pricing)


# --- laws


@laws
@given(our.json_texts | our.near_records())
@example("[" * 300 + "]" * 300)
@example('{"id":"x/y","pricing":{"prompt":' + "[" * 300 + "]" * 300 + "}}")
@example('{"id":' + "9" * 5000 + "}")
@example('{"id":"x/y","context_length":1e9999999}')
@example('{"id":"x/y","pricing":{"overrides":[{"utc_start":1e9999999}]}}')
@example('{"id":"x/y","pricing":{"overrides":[{"region":[1e9999999,{"a":[]}]}]}}')
def test_whatever_a_record_is_the_others_are_kept(text: str) -> None:
    feed = decode(body('{"id":"good/one"}', text, '{"id":"good/two"}'), "all")
    assert {"good/one", "good/two"} <= {record.id for record in feed.records}
    assert len(feed.records) + len(feed.unreadable) == feed.rows == 3
    for record in feed.records:
        # and what was read can be stored and read again
        assert Version.stored(record.version.digest, record.version.document) == record.version
        record.version.document.encode()


@laws
@given(st.binary(max_size=60) | st.text().map(lambda text: text.encode("utf-8", "surrogatepass")))
@example(b"")
@example(b"],")
@example(b'{"id":"\xff"}')
@example(b'"\\ud800"')
def test_whatever_bytes_are_there_only_the_body_as_a_whole_is_refused(junk: bytes) -> None:
    try:
        feed = decode(body('{"id":"good/one"}', junk), "all")
    except BadAnswer:
        return
    assert feed.records[0].id == "good/one"


@laws
@given(st.binary(max_size=60))
def test_whatever_a_body_is_it_is_a_feed_or_a_bad_answer(junk: bytes) -> None:
    with pytest.raises(BadAnswer):
        decode(junk, "all")


@laws
@given(st.text("[{", min_size=1), st.integers(1, 5000))
def test_nesting_without_end_is_a_bad_answer(opening: str, times: int) -> None:
    with pytest.raises(BadAnswer):
        decode(body(opening * times), "all")


@laws
@given(st.dictionaries(st.sampled_from(UNITS), our.decimal_texts(), min_size=1), st.booleans())
def test_prices_are_exact(prices: dict[str, str], as_numbers: bool) -> None:
    if as_numbers:
        pairs = [f'"{unit}":{our.json_number(text)}' for unit, text in prices.items()]
        record = read('{"id":"a/b","pricing":{' + ",".join(pairs) + "}}")
    else:
        record = priced(prices)
    for unit, text in prices.items():
        rate = record.model.pricing.rate(unit)
        assert rate == Decimal(text) or (rate is None and not Decimal(text))
        assert Decimal(json.loads(record.version.document)["pricing"].get(unit, "0")) == Decimal(text)


@laws
@given(our.decimal_texts(), st.booleans())
def test_prices_of_overrides_are_exact(text: str, as_number: bool) -> None:
    value = our.json_number(text) if as_number else f'"{text}"'
    record = read('{"id":"a/b","pricing":{"overrides":[{"min_prompt_tokens":1,"prompt":' + value + "}]}}")
    assert dict(record.model.pricing.overrides[0].rates) == {"prompt": Decimal(text)}


@laws
@given(our.served_records)
def test_a_record_of_today_is_read_without_a_flag(served: dict[str, Any]) -> None:
    record = read(served)
    assert record.flags == ()
    assert json.loads(record.raw) == served
    assert record.id == served["id"]


def _reordered(value: Any, dice: Any) -> Any:
    """The same JSON, its keys and lists in another order; the order of overrides has a meaning."""
    if isinstance(value, dict):
        items = [(k, v if k == "overrides" else _reordered(v, dice)) for k, v in value.items()]
        dice.shuffle(items)
        return dict(items)
    if isinstance(value, list):
        return dice.sample(value, len(value))
    return value


@laws
@given(our.served_records, st.randoms(use_true_random=False), st.sampled_from([None, 1, "\t"]))
def test_order_and_white_space_do_not_matter(served: dict[str, Any], dice: Any, indent: Any) -> None:
    one = read(served)
    two = read(json.dumps(_reordered(served, dice), indent=indent, ensure_ascii=dice.random() < 0.5))
    assert two.version == one.version
    assert two.version.document == one.version.document
    assert two.version.digest == one.version.digest


@laws
@given(our.served_records, st.sampled_from(our.OPTIONAL))
def test_a_missing_optional_price_and_zero_are_equal(served: dict[str, Any], unit: str) -> None:
    without = {name: rate for name, rate in served["pricing"].items() if name != unit}
    versions = {
        read(served | {"pricing": without | some}).version for some in ({}, {unit: "0"}, {unit: 0}, {unit: None})
    }
    assert len(versions) == 1


@laws
@given(our.served_records, our.served_records)
def test_equal_models_have_equal_documents(one: dict[str, Any], two: dict[str, Any]) -> None:
    first, second = read(one).version, read(two | {"id": one["id"]}).version
    assert (first == second) is (first.document == second.document) is (first.digest == second.digest)


@laws
@given(st.lists(our.served_records, max_size=4))
def test_a_list_read_twice_changes_nothing(served: list[dict[str, Any]]) -> None:
    text = body(*(json.dumps(record) for record in served))
    first, second = decode(text, "all"), decode(text, "all")
    believed = {record.id: Belief(record.version, is_active=True, raw=record.raw) for record in first.records}
    assert diff(believed, second).is_empty


@laws
@given(st.lists(our.served_records, max_size=4))
def test_records_known_by_their_bytes_are_not_read_again(served: list[dict[str, Any]]) -> None:
    text = body(*(json.dumps(record) for record in served))
    fresh = decode(text, "all")
    again = decode(text, "all", {record.raw: record for record in fresh.records})
    assert again == fresh
    assert all(one is two for one, two in zip(again.records, fresh.records, strict=True))


def test_other_bytes_than_known_are_read() -> None:
    known = read({"id": "a/b", "name": "One"})
    feed = decode(body('{"id":"a/b","name":"Two"}'), "all", {known.raw: known})
    assert feed.records[0].model.name == "Two"


# --- a whole record


def test_a_record_of_today() -> None:
    record = read(RECORD)
    assert record.model == MODEL
    assert record.flags == ()
    assert record.raw == json.dumps(RECORD).encode()


def test_a_record_with_an_id_alone() -> None:
    record = read({"id": "a/b"})
    assert record.model == Model("a/b")
    assert record.flags == ("missing: pricing",)


def test_a_record_keeps_its_bytes() -> None:
    text = b' { "id" : "a\\u002fb",\n "pricing":{} } '
    assert read(text).raw == text.strip()
    assert read(text).id == "a/b"


def test_benchmarks_links_and_the_name_of_an_alias_do_not_count() -> None:
    other = RECORD | {"benchmarks": {"design_arena": [1]}, "links": {}, "alias_target": {"slug": "acme/other"}}
    assert read(other).version == read(RECORD).version


# --- the body as a whole


def test_an_envelope() -> None:
    text = b'{"links":{"next":null},"data":[{"id":"a/b"}],"total_count":7,"news":1}'
    feed = decode(text, "text")
    assert (feed.scope, feed.rows, feed.total_count, len(feed.records)) == ("text", 1, 7, 1)


@pytest.mark.parametrize("text", [b'{"data":[]}', b'{"data":[],"total_count":null}'])
def test_an_empty_list_is_a_feed(text: bytes) -> None:
    assert decode(text, "all") == Feed("all", (), (), None, 0)


@pytest.mark.parametrize(
    ("total", "count"),
    [
        ("443", 443),
        ("0", 0),
        ("null", None),
        ('"443"', None),
        ("true", None),
        ("4.5", None),
        ("[]", None),
        ("{}", None),
    ],
)
def test_what_the_list_says_it_lists(total: str, count: int | None) -> None:
    assert decode(f'{{"data":[],"total_count":{total}}}'.encode(), "all").total_count == count


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "The answer is not JSON"),
        (b"   ", "The answer is not JSON"),
        (b"<!DOCTYPE html><html>", "The answer is an HTML page; it begins '<!DOCTYPE html><html>'."),
        (b"\n <html>", "The answer is an HTML page; it begins '<html>'."),
        (b"upstream connect error", "The answer is not JSON (.*); it begins 'upstream connect error'."),
        (b'{"data":[{"id":"a/b"},{"id":', "The answer is not JSON (.*truncated.*)"),
        (b'{"data":[]}{', "The answer is not JSON"),
        (b'\xff\xfe{"data":[]}', "The answer is not JSON"),
        (b"null", "The answer is JSON, but not a list of models: Expected `object`, got `null`."),
        (b"[]", "The answer is JSON, but not a list of models: Expected `object`, got `array`."),
        (b"{}", "The answer is JSON, but not a list of models: it has no data."),
        (b'{"data":null}', "The answer is JSON, but not a list of models: it has no data."),
        (b'{"error":null}', "The answer is JSON, but not a list of models: it has no data."),
        (b'{"data":{}}', "The answer is JSON, but not a list of models: Expected `array"),
        (b'{"error":{"code":500,"message":"Oh no"}}', "The answer is an error; OpenRouter says 'Oh no'."),
        (b'{"error":{"message":[1]}}', r"The answer is an error; OpenRouter says '\[1\]'."),
        (b'{"error":"Oh no"}', "The answer is an error; OpenRouter says 'Oh no'."),
        (b'{"error":"Oh no","data":[]}', "The answer is an error; OpenRouter says 'Oh no'."),
    ],
)
def test_a_body_that_is_no_list(text: bytes, message: str) -> None:
    with pytest.raises(BadAnswer, match=message):
        decode(text, "all")


def test_a_long_error_is_cut() -> None:
    with pytest.raises(BadAnswer) as caught:
        decode(json.dumps({"error": {"message": "x" * 999}}).encode(), "all")
    assert str(caught.value).count("x") == 200


@pytest.mark.parametrize("half", ["\\ud800", "\\udc00", "\\uDBFFx", "\\ud800\\ud800", "\\udc00\\ud800", "\\\\\\ud800"])
def test_half_a_surrogate_pair_costs_only_its_record(half: str) -> None:
    assert refused(f'{{"id":"a/b","name":"{half}"}}') == ("a/b", NOT_KEPT)
    assert refused(f'{{"id":"{half}"}}') == (None, NOT_KEPT)


def test_beside_half_a_pair_whole_ones_are_kept() -> None:
    text = '{"id":"a/b","name":"\\ud83d\\ude00 \\\\ud800"}'
    feed = decode(body(text, '{"id":"a/c","name":"\\ud83d"}'), "all")
    assert [record.model.name for record in feed.records] == ["😀 \\ud800"]
    assert [entry.model_id for entry in feed.unreadable] == ["a/c"]


def test_a_byte_order_mark_is_no_harm() -> None:
    assert decode(b"\xef\xbb\xbf" + body('{"id":"a/b"}'), "all").rows == 1


def test_a_whole_surrogate_pair_is_a_letter() -> None:
    assert read('{"id":"a/b","name":"\\ud83d\\ude00"}').model.name == "😀"


# --- records that cannot be read


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("null", "it is null, not an object"),
        ("[]", "it is a list, not an object"),
        ('"a/b"', "it is a string, not an object"),
        ("true", "it is true or false, not an object"),
        ("1", "it is a number, not an object"),
        ("1.5", "it is a number, not an object"),
        ("{}", "it has no id"),
        ('{"id":null}', "it has no id"),
        ('{"id":""}', "its id is not one: ''"),
        ('{"id":5}', "its id is not one: '5'"),
        ('{"id":["a/b"]}', "its id is not one: \"['a/b']\""),
        ('{"id":"a/ b"}', "its id is not one: 'a/ b'"),
        ('{"id":" a/b"}', "its id is not one: ' a/b'"),
        ('{"id":"a/b\\n"}', r"its id is not one: 'a/b\n'"),
        ('{"id":"a\\u00a0b"}', r"its id is not one: 'a\xa0b'"),
        ('{"id":"a\\u0007b"}', r"its id is not one: 'a\x07b'"),
        ('{"id":"a\\u007fb"}', r"its id is not one: 'a\x7fb'"),
        (f'{{"id":"{"x" * 256}"}}', f"its id is not one: '{'x' * 60}'"),
    ],
)
def test_a_record_without_a_readable_id(text: str, reason: str) -> None:
    assert refused(text) == (None, reason)


def test_an_id_may_be_long_and_odd() -> None:
    for model_id in ("x" * 255, "auto", "ä/ö:ü", "~a/b", "a/b/c:d:e"):
        assert read({"id": model_id}).id == model_id


@pytest.mark.parametrize(
    "text", ['{"id":"a/b","name":"\\u0000"}', '{"id":"a/b","x":{"\\u0000":1}}', '{"id":"a/b","x":"\\\\\\u0000"}']
)
def test_a_nul_character_costs_its_record(text: str) -> None:
    assert refused(text) == ("a/b", NOT_KEPT)


def test_a_nul_character_in_the_id() -> None:
    assert refused('{"id":"a/\\u0000b"}')[0] is None


@pytest.mark.parametrize(("text", "name"), [("\\\\u0000", "\\u0000"), ("\\\\\\\\u0000", "\\\\u0000")])
def test_words_about_a_nul_character_are_words(text: str, name: str) -> None:
    assert read(f'{{"id":"a/b","name":"{text}"}}').model.name == name


def test_bytes_that_are_no_text_cost_their_record() -> None:
    model_id, reason = refused(b'{"id":"a/b","name":"\xff"}')
    assert model_id is None
    assert reason.startswith("it is not JSON: ")


def test_a_number_too_large_for_json_costs_its_record() -> None:
    assert refused('{"id":"a/b","created":' + "9" * 5000 + "}")[1].startswith("it is not JSON: ")


def test_the_last_of_two_equal_keys_counts() -> None:
    record = read('{"id":"x/y","id":"a/b","pricing":{"prompt":"1","prompt":"2"},"name":"A","name":"B"}')
    assert (record.id, record.model.name, record.model.pricing.rate("prompt")) == ("a/b", "B", Decimal(2))


def test_the_first_of_two_equal_ids_counts() -> None:
    feed = decode(body('{"id":"a/b","name":"One"}', '{"id":"a/b","name":"Two"}', '{"id":"a/c"}'), "all")
    assert [(record.id, record.model.name) for record in feed.records] == [("a/b", "One"), ("a/c", None)]
    assert [(u.position, u.model_id, u.reason) for u in feed.unreadable] == [
        (1, "a/b", "listed twice; the first record counts")
    ]
    assert feed.rows == 3


def test_an_unreadable_record_and_a_readable_one_of_the_same_id() -> None:
    feed = decode(body('{"id":"a/b","pricing":{"prompt":"x"}}', '{"id":"a/b"}'), "all")
    assert [record.id for record in feed.records] == ["a/b"]
    assert [(entry.position, entry.model_id) for entry in feed.unreadable] == [(0, "a/b")]


# --- prices

LONGEST = "99999999999999999999.999999999999999999999999999999"


@pytest.mark.parametrize(
    ("value", "rate"),
    [
        ('"0"', "0"),
        ('"-0"', "0"),
        ("-0", "0"),
        ("-0.0", "0"),
        ('"-1"', "-1"),
        ("-1", "-1"),
        ('"+1"', "1"),
        ('"1e-7"', "0.0000001"),
        ("1e-7", "0.0000001"),
        ('"1E2"', "100"),
        ("1E+2", "100"),
        ('"1."', "1"),
        ('"007"', "7"),
        ('"0.0000000416666666666667"', "0.0000000416666666666667"),
        ("0.0000000416666666666667", "0.0000000416666666666667"),
        ("0.1", "0.1"),
        ("9007199254740993", "9007199254740993"),
        (
            '"99999999999999999999.999999999999999999999999999999"',
            "99999999999999999999.999999999999999999999999999999",
        ),
        ("99999999999999999999.999999999999999999999999999999", "99999999999999999999.999999999999999999999999999999"),
        ('"1e99"', "1e99"),
    ],
)
def test_numbers(value: str, rate: str) -> None:
    record = read(f'{{"id":"a/b","pricing":{{"prompt":{value}}}}}')
    assert record.model.pricing.rate("prompt") == Decimal(rate)
    assert record.flags == ()


@pytest.mark.parametrize(
    "value",
    [
        '"NaN"', '"nan"', '"Infinity"', '"-inf"', '"1_0"', '"١"', '""', '" 1"', '"1 "', '"1\\n"', '"$1"', '"1,5"',
        '"0x1"', '".5"', '"--1"', '"e5"', '"1e"', '"1e100"', '"one"', '"100000000000000000000.0"',
        '"123456789012345678901"', f'"0.{"0" * 30}1"', "true", "false", "[]", '["1"]', "{}", "1e400",
        "123456789012345678901234567890",
    ],
)  # fmt: skip
@pytest.mark.parametrize("unit", ["prompt", "input_cache_read"])
def test_what_is_no_number_costs_its_record(value: str, unit: str) -> None:
    shown = str(json.loads(value, parse_float=Decimal))
    assert refused(f'{{"id":"a/b","pricing":{{"{unit}":{value}}}}}') == (
        "a/b",
        f"its price pricing.{unit} is not a number: {shown[:60]!r}",
    )
    in_override = f'{{"id":"a/b","pricing":{{"overrides":[{{"{unit}":{value}}}]}}}}'
    assert refused(in_override)[1] == f"its price pricing.overrides.{unit} is not a number: {shown[:60]!r}"


@pytest.mark.parametrize("unit", UNITS)
def test_each_documented_unit_is_known(unit: str) -> None:
    record = priced({unit: "0.5"})
    assert (record.model.pricing.rates, record.flags) == (((unit, Decimal("0.5")),), ())


def test_a_price_of_null_is_no_price() -> None:
    record = priced({"prompt": None, "completion": "1", "overrides": None})
    assert (record.model.pricing.rates, record.flags) == ((("completion", Decimal(1)),), ())


def test_a_discount_is_no_price() -> None:
    assert priced({"prompt": "1", "discount": 0.9}).model.pricing.rates == (("prompt", Decimal(1)),)
    assert priced({"prompt": "1", "discount": "x"}).flags == ()


def test_a_long_value_is_cut_in_the_reason() -> None:
    for pricing in ({"prompt": "x" * 99}, {"overrides": [{"prompt": "x" * 99}]}):
        assert refused({"id": "a/b", "pricing": pricing})[1].count("x") == 60


def test_a_long_body_is_cut_in_the_message() -> None:
    with pytest.raises(BadAnswer) as caught:
        decode(b"y" * 99, "all")
    assert f"'{'y' * 60}'" in str(caught.value)


def test_an_unknown_price_is_kept_and_flagged() -> None:
    record = priced({"prompt": "1", "video": "0.5"})
    assert record.model.pricing.rate("video") == Decimal("0.5")
    assert record.flags == ("unknown key: pricing.video",)


@pytest.mark.parametrize("value", ["much", [], {}, True])
def test_an_unknown_price_that_is_no_number_is_flagged(value: Any) -> None:
    record = priced({"prompt": "1", "video": value})
    assert record.model.pricing.rate("video") is None
    assert record.flags == ("unknown key: pricing.video",)


@pytest.mark.parametrize("value", [[], "1", 1, True])
def test_a_pricing_that_is_no_object(value: Any) -> None:
    record = priced(value)
    assert (record.model.pricing, record.flags) == (Pricing(), ("wrong type: pricing",))


def test_a_router_is_dynamic() -> None:
    record = priced({"prompt": "-1", "completion": "-1"})
    assert record.model.pricing_kind == "dynamic"


# --- overrides


@pytest.mark.parametrize("value", [{}, [], None])
def test_no_overrides(value: Any) -> None:
    record = priced({"prompt": "1", "overrides": value})
    assert (record.model.pricing.overrides, record.flags) == ((), ())


@pytest.mark.parametrize("value", [{"prompt": "1"}, "x", 5, [1], [{"prompt": "1"}, None], [[]]])
def test_overrides_that_are_none(value: Any) -> None:
    record = priced({"prompt": "1", "overrides": value})
    assert (record.model.pricing.overrides, record.flags) == ((), ("wrong type: pricing.overrides",))


def test_conditions_of_every_known_kind() -> None:
    entry = {"utc_days": ["monday", "friday"], "utc_start": 100.0, "utc_end": 0, "min_prompt_tokens": 2e5, "prompt": 3}
    record = priced({"prompt": "1", "overrides": [entry]})
    assert record.model.pricing.overrides == (
        Override(
            (("min_prompt_tokens", 200_000), ("utc_days", ("friday", "monday")), ("utc_end", 0), ("utc_start", 100)),
            (("prompt", Decimal(3)),),
        ),
    )
    assert record.flags == ()


def test_the_order_of_overrides_is_kept() -> None:
    record = priced({"prompt": "1", "overrides": [{"prompt": "3"}, {"prompt": "2"}]})
    assert [dict(entry.rates)["prompt"] for entry in record.model.pricing.overrides] == [3, 2]


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("eu", "eu"), (5, 5), (5.0, 5), (0.5, '"0.5"'), (True, "true"), (["b", "a"], ("a", "b")), ([1], "[1]"),
        ({"a": 1}, '{"a":1}'), (-3, -3),
    ],
)  # fmt: skip
def test_an_unknown_condition_is_kept_flagged_and_never_applied(value: Any, kept: Any) -> None:
    record = priced({"prompt": "1", "overrides": [{"region": value, "prompt": "9"}]})
    (entry,) = record.model.pricing.overrides
    assert entry.conditions == (("region", kept),)
    assert not entry.is_understood
    assert record.model.pricing.rate_at("prompt", datetime(2026, 5, 1, tzinfo=UTC)) == 1
    assert record.flags == ("unknown key: pricing.overrides.region",)


def test_an_unknown_condition_of_null_is_none() -> None:
    record = priced({"prompt": "1", "overrides": [{"region": None, "prompt": "9", "completion": None}]})
    assert record.model.pricing.overrides == (Override((), (("prompt", Decimal(9)),)),)
    assert record.flags == ()


@pytest.mark.parametrize(
    "condition",
    [
        {"utc_start": 2500}, {"utc_start": "0100"}, {"utc_end": 61}, {"utc_end": 0.5}, {"utc_end": True},
        {"utc_days": "monday"}, {"utc_days": ["someday"]}, {"utc_days": [1]}, {"min_prompt_tokens": "1000"},
        {"min_prompt_tokens": 0.5},
    ],
)  # fmt: skip
def test_a_condition_of_the_wrong_type_is_flagged_and_never_applied(condition: dict[str, Any]) -> None:
    record = priced({"prompt": "1", "overrides": [condition | {"prompt": "9"}]})
    assert not record.model.pricing.overrides[0].is_understood
    assert record.flags == ("wrong type: a condition of pricing.overrides",)


def test_windows_that_tile_the_week_leave_out_the_headline() -> None:
    windows = [{"utc_start": 0, "utc_end": 1600, "prompt": "1"}, {"utc_start": 1600, "utc_end": 0, "prompt": "2"}]
    low, high = (priced({"prompt": headline, "completion": "5", "overrides": windows}) for headline in ("1", "2"))
    assert low.version == high.version
    assert low.raw != high.raw
    assert low.model.pricing.rates == (("completion", Decimal(5)),)


# --- fields with a wrong or an odd value


@pytest.mark.parametrize(("slug", "kept"), [("x" * 255, "x" * 255), ("x" * 256, None), ("a b", None), (" ", None)])
def test_a_slug_that_is_none_is_flagged(slug: str, kept: str | None) -> None:
    record = having(canonical_slug=slug)
    assert (record.model.canonical_slug, record.flags) == (kept, () if kept else ("wrong type: canonical_slug",))


@pytest.mark.parametrize("unit", ["Video", "a b", "", "x" * 65, "vidéo"])
def test_an_unknown_price_that_looks_like_no_unit_is_only_flagged(unit: str) -> None:
    record = priced({"prompt": "1", unit: "0.5"})
    assert record.model.pricing.rates == (("prompt", Decimal(1)),)
    assert record.flags == (f"unknown key: pricing.{unit[:64]}",)


@pytest.mark.parametrize("name", ["canonical_slug", "name", "description", "hugging_face_id", "knowledge_cutoff"])
@pytest.mark.parametrize(
    ("value", "kept", "is_flagged"),
    [("x", "x", False), ("", None, False), (None, None, False), (5, None, True), ([], None, True), (True, None, True)],
)
def test_texts(name: str, value: Any, kept: str | None, is_flagged: bool) -> None:
    record = having(**{name: value})
    assert getattr(record.model, name) == kept
    assert record.flags == ((f"wrong type: {name}",) if is_flagged else ())


WHOLE_NUMBERS = [
    ("0", 0, False), ("5", 5, False), ("128000.0", 128_000, False), ("1e5", 100_000, False), ("-0.0", 0, False),
    ("9007199254740992", 2**53, False), ("null", None, False),
    ("9007199254740993", None, True), ("1" + "0" * 30, None, True), ("1e400", None, True), ("1e9999999", None, True),
    ("1e-9999999", None, True), ("-1", None, True), ("-1.0", None, True), ("0.5", None, True), ("true", None, True),
    ("false", None, True), ('"5"', None, True), ("[5]", None, True), ("{}", None, True),
]  # fmt: skip


@pytest.mark.parametrize(("text", "kept", "is_flagged"), WHOLE_NUMBERS)
def test_whole_numbers(text: str, kept: int | None, is_flagged: bool) -> None:
    record = read(
        f'{{"id":"a/b","pricing":{{}},"context_length":{text},'
        f'"top_provider":{{"context_length":{text},"max_completion_tokens":{text}}}}}'
    )
    model = record.model
    assert (model.context_length, model.top_context_length, model.max_completion_tokens) == (kept, kept, kept)
    flags = ("wrong type: context_length", "wrong type: max_completion_tokens", "wrong type: context_length")
    assert record.flags == (flags if is_flagged else ())


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (0, datetime(1970, 1, 1, tzinfo=UTC)),
        (1777636800, datetime(2026, 5, 1, 12, tzinfo=UTC)),
        (1777636800.0, datetime(2026, 5, 1, 12, tzinfo=UTC)),
        (253402300799, datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
        (None, None),
    ],
)
def test_created(value: Any, kept: datetime | None) -> None:
    record = having(created=value)
    assert (record.model.created_at, record.flags) == (kept, ())


@pytest.mark.parametrize("value", [253402300800, 2**53, -1, 1.5, "2026-05-01", True])
def test_created_out_of_range(value: Any) -> None:
    record = having(created=value)
    assert (record.model.created_at, record.flags) == (None, ("wrong type: created",))


@pytest.mark.parametrize(
    ("value", "kept"),
    [("2026-02-28", date(2026, 2, 28)), ("2098-12-31", date(2098, 12, 31)), ("", None), (None, None)],
)
def test_expiration(value: Any, kept: date | None) -> None:
    record = having(expiration_date=value)
    assert (record.model.expiration_date, record.flags) == (kept, ())


@pytest.mark.parametrize(
    "value", ["2026-02-29", "2026-13-01", "0000-01-01", "soon", "2026-02-28T00:00:00Z", "20260228", 1777636800, {}]
)
def test_a_bad_date_is_flagged(value: Any) -> None:
    record = having(expiration_date=value)
    assert (record.model.expiration_date, record.flags) == (None, ("wrong type: expiration_date",))


@pytest.mark.parametrize("value", [0, 1, "true", [], 1.0])
def test_true_and_false_are_no_numbers(value: Any) -> None:
    record = having(top_provider={"is_moderated": value})
    assert (record.model.is_moderated, record.flags) == (None, ("wrong type: is_moderated",))


@pytest.mark.parametrize("value", [True, False, None])
def test_true_and_false(value: bool | None) -> None:
    record = having(top_provider={"is_moderated": value})
    assert (record.model.is_moderated, record.flags) == (value, ())


def test_lists_are_sorted_sets() -> None:
    record = having(supported_parameters=["tools", "seed", "tools"], supported_voices=[])
    assert (record.model.supported_parameters, record.model.supported_voices) == (("seed", "tools"), ())


@pytest.mark.parametrize(
    ("value", "kept"), [(["seed", 5, None, "tools"], ("seed", "tools")), ("seed", ()), ({"seed": 1}, ()), (5, ())]
)
def test_a_list_that_is_none_is_flagged(value: Any, kept: tuple[str, ...]) -> None:
    record = having(supported_parameters=value)
    assert (record.model.supported_parameters, record.flags) == (kept, ("wrong type: supported_parameters",))


@pytest.mark.parametrize("name", ["default_parameters", "per_request_limits"])
@pytest.mark.parametrize("value", [None, {}, {"temperature": None, "top_p": None}])
def test_no_defaults(name: str, value: Any) -> None:
    record = having(**{name: value})
    assert (getattr(record.model, name), record.flags) == ((), ())


def test_defaults_are_exact_and_in_one_spelling() -> None:
    spellings = ("1,0.7,0,100", "1.0,0.70,-0.0,1e2", "1e0,7e-1,0.000,100.0")
    records = []
    for text in spellings:
        a, b, c, d = text.split(",")
        records.append(read(f'{{"id":"a/b","pricing":{{}},"default_parameters":{{"d":{d},"a":{a},"b":{b},"c":{c}}}}}'))
    assert records[0].model.default_parameters == (("a", 1), ("b", Decimal("0.7")), ("c", 0), ("d", 100))
    assert '"default_parameters":{"a":1,"b":0.7,"c":0,"d":100}' in records[0].version.document
    assert len({record.version.digest for record in records}) == 1
    assert all(record.flags == () for record in records)


@pytest.mark.parametrize("value", ['"1"', "true", "[]", "1e400", "-1e400", "9007199254740992", "-9007199254740992"])
def test_a_default_that_is_no_number_is_flagged(value: str) -> None:
    record = read(f'{{"id":"a/b","pricing":{{}},"default_parameters":{{"top_k":{value},"top_p":-0.5}}}}')
    assert record.model.default_parameters == (("top_p", Decimal("-0.5")),)
    assert record.flags == ("wrong type: default_parameters.top_k",)


@pytest.mark.parametrize("value", [[], 5, "x"])
def test_defaults_that_are_no_object_are_flagged(value: Any) -> None:
    record = having(default_parameters=value)
    assert (record.model.default_parameters, record.flags) == ((), ("wrong type: default_parameters",))


# --- architecture


def test_no_architecture() -> None:
    record = having(architecture=None)
    assert (record.model.input_modalities, record.model.output_modalities, record.model.tokenizer) == ((), (), None)
    assert record.flags == ()


@pytest.mark.parametrize(
    ("modality", "inputs", "outputs"),
    [
        ("text+image->text", ("image", "text"), ("text",)),
        ("text->text+image", ("text",), ("image", "text")),
        ("->text", (), ("text",)),
        ("text->image->video", ("text",), ("image->video",)),
        ("text", (), ()),
        (None, (), ()),
    ],
)
def test_modalities_of_the_arrow_form_alone(
    modality: str | None, inputs: tuple[str, ...], outputs: tuple[str, ...]
) -> None:
    record = having(architecture={"modality": modality, "tokenizer": "GPT", "instruct_type": None})
    assert (record.model.input_modalities, record.model.output_modalities) == (inputs, outputs)
    assert record.flags == (("unknown output modality: image->video",) if "image->video" in outputs else ())


def test_listed_modalities_win_over_the_arrow() -> None:
    record = having(
        architecture={"modality": "text->text", "input_modalities": ["audio"], "output_modalities": ["speech"]}
    )
    assert (record.model.input_modalities, record.model.output_modalities) == (("audio",), ("speech",))


def test_an_empty_list_of_modalities_is_filled_from_the_arrow() -> None:
    record = having(architecture={"modality": "text->image", "input_modalities": ["file"], "output_modalities": []})
    assert (record.model.input_modalities, record.model.output_modalities) == (("file",), ("image",))


@pytest.mark.parametrize("name", ["modality", "input_modalities", "output_modalities", "tokenizer", "instruct_type"])
def test_an_architecture_of_the_wrong_types_is_flagged(name: str) -> None:
    record = having(architecture={name: 5})
    assert record.flags == (f"wrong type: {name}",)
    assert record.version == having(architecture={}).version


def test_an_empty_instruct_type_is_none() -> None:
    assert having(architecture={"instruct_type": ""}).model.instruct_type is None


@pytest.mark.parametrize("name", ["architecture", "top_provider", "alias_target", "reasoning"])
@pytest.mark.parametrize("value", [[], "x", 5, False])
def test_an_object_that_is_none_is_flagged(name: str, value: Any) -> None:
    assert having(**{name: value}).flags == (f"wrong type: {name}",)


# --- reasoning


@pytest.mark.parametrize("record", [having(), having(reasoning=None)])
def test_a_model_that_does_not_reason(record: Record) -> None:
    assert record.model.reasoning is None


@pytest.mark.parametrize(
    ("served", "kept"),
    [
        ({}, Reasoning()),
        ({"mandatory": False, "supported_efforts": None}, Reasoning(mandatory=False)),
        ({"supported_efforts": []}, Reasoning(supported_efforts=())),
        ({"supported_efforts": ["low", "high", "low"]}, Reasoning(supported_efforts=("high", "low"))),
        ({"default_effort": None, "default_enabled": True}, Reasoning(default_enabled=True)),
    ],
)
def test_reasoning(served: dict[str, Any], kept: Reasoning) -> None:
    record = having(reasoning=served)
    assert (record.model.reasoning, record.flags) == (kept, ())


def test_reasoning_of_the_wrong_types_is_flagged() -> None:
    record = having(
        reasoning={"mandatory": 1, "default_enabled": "x", "default_effort": 5, "supported_efforts": "all",
                   "supports_max_tokens": []}
    )  # fmt: skip
    assert record.model.reasoning == Reasoning(supported_efforts=())
    assert record.flags == tuple(
        f"wrong type: {name}"
        for name in ("mandatory", "default_enabled", "default_effort", "supported_efforts", "supports_max_tokens")
    )


# --- what we do not know


@pytest.mark.parametrize(
    ("fields", "flag"),
    [
        ({"news": 1}, "unknown key: news"),
        ({"architecture": {"news": 1}}, "unknown key: architecture.news"),
        ({"top_provider": {"news": 1}}, "unknown key: top_provider.news"),
        ({"reasoning": {"news": 1}}, "unknown key: reasoning.news"),
        ({"alias_target": {"slug": "a/c", "name": "C", "news": 1}}, "unknown key: alias_target.news"),
        ({"architecture": {"input_modalities": ["smell"]}}, "unknown input modality: smell"),
        ({"architecture": {"output_modalities": ["text", "smell"]}}, "unknown output modality: smell"),
        ({"architecture": {"modality": "text->smell"}}, "unknown output modality: smell"),
        ({"architecture": {"modality": "embeddings->text"}}, "unknown input modality: embeddings"),
        ({"architecture": {"tokenizer": "Abacus"}}, "unknown tokenizer: Abacus"),
        ({"supported_parameters": ["tools", "magic"]}, "unknown parameter: magic"),
    ],
)
def test_what_we_do_not_know_is_flagged(fields: dict[str, Any], flag: str) -> None:
    record = having(**fields)
    assert record.flags == (flag,)
    assert json.loads(record.raw).items() >= fields.items()


def test_unknown_values_are_kept() -> None:
    architecture = {"input_modalities": ["smell"], "output_modalities": ["text", "taste"], "tokenizer": "Abacus"}
    model = having(architecture=architecture, supported_parameters=["tools", "magic"]).model
    assert (model.input_modalities, model.output_modalities) == (("smell",), ("taste", "text"))
    assert (model.tokenizer, model.supported_parameters) == ("Abacus", ("magic", "tools"))


def test_unknown_keys_are_flagged_in_order() -> None:
    assert having(zebra=1, ape=2).flags == ("unknown key: ape", "unknown key: zebra")


def test_an_unknown_key_alone_is_no_change() -> None:
    assert having(news=1).version == having().version


# --- the reference's checklist of unusual values, as far as it concerns this list


@pytest.mark.parametrize(
    ("fields", "name", "value"),
    [
        ({"pricing": {"prompt": "-1", "completion": "-1"}}, "pricing_kind", "dynamic"),
        # "0" without :free
        (
            {"pricing": {"prompt": "0", "completion": "0"}, "architecture": {"output_modalities": ["text"]}},
            "pricing_kind",
            "free",
        ),
        (
            {"pricing": {"prompt": "0", "completion": "0"}, "architecture": {"output_modalities": ["video"]}},
            "pricing_kind",
            "unknown",
        ),
        ({"pricing": {"prompt": "1", "overrides": {}}}, "pricing", Pricing((("prompt", Decimal(1)),))),
        ({"expiration_date": "2098-12-31"}, "expiration_date", date(2098, 12, 31)),
        ({"hugging_face_id": ""}, "hugging_face_id", None),
        ({"context_length": None}, "context_length", None),
        ({"context_length": 0}, "context_length", 0),
        ({"context_length": 10**6, "top_provider": {"context_length": 5}}, "top_context_length", 5),
        ({"reasoning": {"supported_efforts": None}}, "reasoning", Reasoning()),
        ({"links": {"details": "/api/v1/models/a/b/endpoints"}}, "id", "a/b"),
    ],
)
def test_unusual_values(fields: dict[str, Any], name: str, value: Any) -> None:
    record = having(**fields)
    assert getattr(record.model, name) == value
    assert record.flags == ()


def test_a_canonical_slug_may_be_shared() -> None:
    feed = decode(body('{"id":"a/b","canonical_slug":"a/b-1"}', '{"id":"a/b:free","canonical_slug":"a/b-1"}'), "all")
    assert [record.model.canonical_slug for record in feed.records] == ["a/b-1", "a/b-1"]
    assert feed.unreadable == ()


def test_a_list_cut_short_tells_by_its_total_count() -> None:
    feed = decode(b'{"data":[{"id":"a/b"}],"total_count":2}', "all")
    assert (feed.rows, feed.total_count) == (1, 2)


# --- real bodies


def test_real_bodies_say_what_another_reading_says() -> None:
    bodies = dict(captures("history-12h"))
    times = sorted(bodies)
    chosen = [times[position * (len(times) - 1) // 29] for position in range(30)]
    known: dict[bytes, Record] = {}
    for at in chosen:
        feed = decode(bodies[at], "text", known)
        known |= {record.raw: record for record in feed.records}
        wanted = {model_id: _facts(oracle.expected(record)) for model_id, record in oracle.records(bodies[at]).items()}
        assert feed.unreadable == ()
        assert [(record.id, record.flags) for record in feed.records if record.flags] == []
        assert {record.id: _understood(record, at) for record in feed.records} == wanted, at
        assert feed.rows == len(wanted)


def _facts(expected: oracle.Row) -> oracle.Row:
    return {name: value for name, value in expected.items() if name != "pricing"}


def _understood(record: Record, at: datetime) -> oracle.Row:
    model = record.model
    prompt, completion = model.headline(at)
    return {
        "id": model.id,
        "canonical_slug": model.canonical_slug,
        "name": model.name,
        "author": model.identity.author,
        "variant": model.identity.variant,
        "description": model.description,
        "context_length": model.context_length,
        "max_completion_tokens": model.max_completion_tokens,
        "prompt": prompt,
        "completion": completion,
        "pricing_kind": model.pricing_kind,
        "raw": json.loads(record.raw),
        "inputs": list(model.input_modalities),
        "outputs": list(model.output_modalities),
        "parameters": list(model.supported_parameters),
        "expires": None if model.expiration_date is None else model.expiration_date.isoformat(),
    }
