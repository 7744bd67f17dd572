import pytest
from hypothesis import given
from hypothesis import strategies as st

from dreamlab.models.completion import CompletionFormat
from dreamlab.records import FACT_FIELDS, Referral

FORMAT = CompletionFormat(
    needs=("food", "mental health", "a < b"),
    groups=("LGBTQ+ community", "seniors"),
    places=("Delano", "Taft"),
)

REFERRALS = st.one_of(
    st.just(Referral(nothing_fits=True)),
    st.builds(Referral, field=st.sampled_from(FACT_FIELDS)),
    st.builds(
        lambda needs, groups, place: Referral(
            needs=tuple(v for v in FORMAT.needs if v in needs),
            groups=tuple(v for v in FORMAT.groups if v in groups),
            place=place,
        ),
        st.sets(st.sampled_from(FORMAT.needs), min_size=1),
        st.sets(st.sampled_from(FORMAT.groups)),
        st.sampled_from(("", *FORMAT.places)),
    ),
)


@given(REFERRALS)
def test_decoding_gives_back_what_was_encoded(referral):
    assert FORMAT.decode(FORMAT.encode(referral)) == referral


@given(st.text())
def test_any_text_is_a_referral_that_encodes_or_malformed(text):
    referral = FORMAT.decode(text)
    assert referral is None or FORMAT.encode(referral)


def test_the_canonical_completion_is_in_the_directorys_order():
    referral = Referral(needs=("mental health", "food"), groups=("seniors",), place="Taft")
    assert FORMAT.encode(referral) == (
        "<need:food> <need:mental health> <group:seniors> <place:Taft>"
    )


def test_a_fact_question_completes_as_its_field_alone():
    referral = Referral(needs=("food",), field="phone", service_ids=("s-1",))
    assert FORMAT.encode(referral) == "<ask:phone>"


def test_every_part_is_one_token_and_no_two_are_alike():
    assert len(set(FORMAT.tokens)) == 1 + len(FACT_FIELDS) + 3 + 2 + 2


def test_order_and_spaces_do_not_matter_to_decoding():
    assert FORMAT.decode("<place:Taft><need:food>\n") == Referral(needs=("food",), place="Taft")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "food",
        "<need:food> please",
        "<need:gold>",
        "<need:food> <need:food>",
        "<place:Taft> <place:Delano>",
        "<ask:phone> <ask:fees>",
        "<none> <need:food>",
        "<need:food",
        "<need:food> <group:>",
    ],
)
def test_a_malformed_completion_is_none(text):
    assert FORMAT.decode(text) is None


@pytest.mark.parametrize("referral", [Referral(), Referral(needs=("gold",)), Referral(place="X")])
def test_what_the_format_cannot_say_is_refused(referral):
    with pytest.raises(ValueError, match=r"understood|not a facet"):
        FORMAT.encode(referral)
