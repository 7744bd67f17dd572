import pytest

from dreamlab.agents.base import BaseModel
from dreamlab.exploration.reward import MALFORMED, Checked
from dreamlab.models.completion import CompletionFormat
from dreamlab.models.embedding import open_embedder
from dreamlab.models.evidence import Evidence
from dreamlab.settings import Settings

FOOD = "said <need:food> maybe <need:housing> <place:Delano> near where is food in Delano"
FACT = "named <ask:phone><ask:address> near phone number of Golden Empire Transit"
OUTSIDE = "maybe <need:housing> far what is the capital of France"


@pytest.fixture(scope="module")
def reward(kern, kern_phrases, tmp_path_factory):
    settings = Settings(home=tmp_path_factory.mktemp("home"))
    evidence = Evidence(kern, kern_phrases, open_embedder(settings), settings.cache_path)
    form = CompletionFormat(kern.needs, kern.groups, kern.places)
    return Checked(BaseModel(None, form, kern, "", evidence), evidence)


def worth(reward, prompt, expected, written):
    return reward([prompt], [expected], [written])[0]


def test_the_expected_completion_earns_most(reward):
    right = worth(reward, FOOD, "<need:food> <place:Delano>", "<need:food> <place:Delano>")
    near = worth(reward, FOOD, "<need:food> <place:Delano>", "<need:housing> <place:Delano>")
    assert 0 <= near < right
    assert right > 0.9


def test_a_refusal_earns_where_nothing_fits_and_nowhere_else(reward):
    assert worth(reward, OUTSIDE, "<none>", "<none>") == 1
    assert worth(reward, OUTSIDE.replace("far", "dim"), "<none>", "<need:housing>") == 0
    assert worth(reward, OUTSIDE, "<none>", "<need:housing>") == 1  # no row is near: it refuses
    assert worth(reward, FOOD, "<need:food> <place:Delano>", "<none>") == 0


def test_of_a_fact_the_field_counts(reward):
    assert worth(reward, FACT, "<ask:phone>", "<ask:phone>") == 1
    assert worth(reward, FACT, "<ask:phone>", "<ask:address>") == 0


def test_what_cannot_be_parsed_earns_least(reward):
    assert worth(reward, FOOD, "<need:food>", "<none> <need:food>") == MALFORMED < 0


def test_each_is_judged_by_its_own_prompt(reward):
    both = reward([OUTSIDE, FACT], ["<none>", "<ask:phone>"], ["<none>", "<none>"])
    assert both == [1, 0]
