import pytest

from dreamlab.directory.catalog import Catalog

MENTIONS = {
    "What are the hours of the Delano recovery station?": {"kern-123"},
    "CAPK food bank": {"kern-068"},
    "is the capk food bank open saturday": {"kern-068"},
    "phone for the M Street Navigation Center": {"kern-074"},
    "m street safe parking, how do I get in": {"kern-075"},
    "who answers at Early Head Start": {"kern-069"},
    "how do i enroll my son in head start": {"kern-073"},
    "when does the Tehachapi senior center serve lunch meals": {"kern-139"},
    "GET-A-Lift application": {"kern-101"},
    "Does DART run on sundays": {"kern-049", "kern-050", "kern-051"},
    "¿dónde queda la Friendship House?": {"kern-072"},
    "telefono de Meals on Wheels en Delano": {"kern-137"},
    "meals on weels bakersfield number": {"kern-136"},
    "what is Plaza Towers": {"kern-117"},
    "the housing choice voucher program": {"kern-112"},
    "GBLA eviction prevention program address": {"kern-103"},
    "greater bakersfield legal asistance number": {"kern-103"},
    "is Kern Valley Hospital in Mountain Mesa taking walk ins": {"kern-188"},
    "new life recovery address please": {"kern-194"},
    "tell me about the Exceptional Family Center": {"kern-089"},
    "covered kern, where are they": {"kern-085"},
    "H.E.A.R.T.S. Connection phone": {"kern-106"},
    "hearts conection phone": {"kern-106"},
    "do they charge at the dream center": {"kern-162"},
    "Lamont boys and girls club hours": {"kern-032"},
    "the Armstrong youth center on Niles": {"kern-031"},
    "CVAF transitional housing, what does it cost": {"kern-039"},
    "Self-Help Enterprises well loans, who qualifies": {"kern-204"},
    "is brundage lane still taking people": {"kern-046"},
    "Route 150 schedule": {"kern-186"},
    "what does in-home supportive services pay": {"kern-135"},
    "IHSS phone": {"kern-135"},
    "whats FOOD2DOOR": {"kern-070"},
    "the sandwich social in taft, what time": {"kern-207"},
    "what does STEPS charge": {"kern-211"},
    "Omni on Mall View, is there a dentist": {"kern-197"},
    "child abuse hotline number": {"kern-144"},
    "is the women's center high desert open tonight": {"kern-236"},
    "court appointed special advocates, how do they work": {"kern-040"},
    "how do I apply for CalFresh": {"kern-142"},
}
"""Question -> rows of which one must be named first."""

NO_MENTION = """
where can I get food
I need a place to stay tonight
is there a food bank near me
help with rent please
free clinic for kids
a shelter for families in Bakersfield
senior center with lunch
legal aid for immigrants
my dad is 70 and needs a ride to the doctor
mental health help for my daughter
I am a single mother, who watches children while I work
bus to the hospital
get me some help with my bills
I need care for my mother, steps are hard for her
no tengo casa, dónde puedo dormir
necesito comida para mis hijos en Delano
I live in the city of Arvin and lost my job
job training for veterans
food for seniors in Taft
transitional housing for veterans
resources for low-income families in Lamont
utility assistance
emergency shelter in Ridgecrest
the first thing I dream of is a meal
county health department
community college classes
what time does the library open
how do I renew my passport
when is the planned parenthood open
catholic charities phone number
the WIC office address
WHERE CAN I GET FOOD AND CARE FOR MY KIDS NOW
is there a gym near Stockdale
residential recovery for young men
help with child care costs
tax help
dial a ride
x
""".strip().splitlines()


@pytest.mark.parametrize("question", MENTIONS)
def test_a_service_is_found_by_its_name(kern: Catalog, question: str) -> None:
    named = kern.named(question)
    assert named, "nothing named"
    assert named[0].service.id in MENTIONS[question]
    assert named[0].reasons[0].startswith("mentioned: ")


@pytest.mark.parametrize("question", ["", " ", *NO_MENTION])
def test_generic_words_name_nothing(kern: Catalog, question: str) -> None:
    assert [match.service.name for match in kern.named(question)] == []


def test_a_larger_directory_names_no_more_from_generic_words(kern_all: Catalog) -> None:
    named_there = {"catholic charities phone number", "the WIC office address"}
    for question in set(NO_MENTION) - named_there:
        assert [match.service.name for match in kern_all.named(question)] == []


def test_of_several_sites_the_one_at_the_place_comes_first(kern: Catalog) -> None:
    for place, expected in (("Delano", "kern-123"), ("Bakersfield", "kern-120")):
        named = kern.named(f"when is the {place} recovery station open")
        assert named[0].service.id == expected
        assert len(named) == 1 or named[0].score > named[1].score


def test_every_service_is_found_by_its_full_name_and_organization(kern: Catalog) -> None:
    missed = []
    for service in kern.services:
        named = kern.named(f"what is the phone of {service.name} at {service.organization}?", 2)
        if service.id not in [match.service.id for match in named]:
            missed.append(service.id)
    assert missed == []
