import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from dreamlab.directory.hsds import read_directory
from dreamlab.directory.report import ImportReport
from dreamlab.errors import DirectoryError
from dreamlab.records import Service

TERM = {"id": "t1", "name": "Food", "taxonomy": "Needs"}
FULL: dict[str, Any] = {
    "id": "s1",
    "name": "Pantry",
    "alternate_name": "Bread Box",
    "status": "active",
    "description": "<p>Bags of groceries &amp; bread.</p>",
    "url": "https://pantry.example",
    "application_process": "Walk in",
    "fees_description": "Free",
    "eligibility_description": "Anyone short of food",
    "minimum_age": 18,
    "maximum_age": None,
    "last_modified": "2026-03-15T10:30:45.123Z",
    "organization": {"id": "o1", "name": "Helping Hands", "website": "https://hands.example"},
    "phones": [
        {"id": "p1", "number": "555-0100", "extension": 7, "type": "voice"},
        {"id": "p2", "number": "555-0109", "type": "fax"},
    ],
    "schedules": [
        {
            "id": "h1",
            "freq": "WEEKLY",
            "byday": "MO,TU,WE",
            "opens_at": "09:00",
            "closes_at": "12:00",
        }
    ],
    "service_at_locations": [
        {
            "id": "x1",
            "location": {
                "id": "l1",
                "name": "Civic Center",
                "addresses": [
                    {"id": "a0", "address_1": "Box 9", "city": "Far", "address_type": "postal"},
                    {
                        "id": "a1",
                        "address_1": "12 Main St",
                        "address_2": "Suite 3",
                        "city": "Taft",
                        "postal_code": "93268",
                        "address_type": "physical",
                    },
                ],
            },
        }
    ],
    "attributes": [
        {"id": "k1", "taxonomy_term": TERM},
        {
            "id": "k2",
            "link_type": "service eligibility",
            "taxonomy_term": {"id": "t2", "name": "Veterans"},
        },
        {
            "id": "k3",
            "taxonomy_term": {
                "id": "t3",
                "name": "Seniors",
                "taxonomy_details": {"id": "y", "name": "Target populations"},
            },
        },
        {"id": "k4", "link_type": "language", "taxonomy_term": {"id": "t4", "name": "Urdu"}},
    ],
    "required_documents": [{"id": "d1", "document": "photo ID"}, {"id": "d2", "document": "lease"}],
    "cost_options": [
        {
            "id": "c1",
            "amount": 5,
            "currency": "usd",
            "amount_description": "a bag",
            "option": "Guests",
        }
    ],
}
EXPECTED = Service(
    id="s1",
    organization="Helping Hands",
    name="Pantry (Bread Box)",
    needs=("Food",),
    groups=("Veterans", "Seniors"),
    description="Bags of groceries & bread.",
    address="Civic Center, 12 Main St, Suite 3",
    place="Taft",
    zip="93268",
    phone="555-0100 ext. 7",
    url="https://pantry.example",
    hours="Mon-Wed 9am-noon",
    eligibility="Anyone short of food; age 18+",
    how_to_apply="Walk in; bring: photo ID, lease",
    fees="Free; 5 USD a bag (Guests)",
    source_date="2026-03-15",
)

V2 = {
    "organizations.csv": "id,name,description,url\no1,Helping Hands,Helps,https://hands.example\n",
    "services.csv": (
        "id,organization_id,program_id,name,description,status,application_process,fees,url\n"
        's1,o1,,Pantry,"Groceries,\nbread",active,Walk in,Free,\n'
        "s2,o1,,Beds,A bed,inactive,,,\n"
        "s3,o9,,Hotline,Somebody to talk to,active,Call,,\n"
    ),
    "locations.csv": "id,organization_id,name\nl1,o1,\nl2,o1,Annex\nl3,o1,Unused\n",
    "services_at_location.csv": (
        "id,service_id,location_id,description\nx1,s1,l1,\nx2,s1,l2,\nx3,s9,l1,\nx4,s1,l1,\n"
    ),
    "physical_addresses.csv": (
        "id,location_id,address_1,city,state_province,postal_code,country\n"
        "a1,l1,12 Main St,Taft,CA,93268,US\na2,l2,9 Oak St,Arvin,CA,93203,US\n"
    ),
    "phones.csv": (
        "id,location_id,service_id,organization_id,contact_id,service_at_location_id,number,type\n"
        "p1,,,o1,,,555-0100,voice\np2,,,,,x2,555-0102,voice\np3,,,,,,555-0103,voice\n"
        "p4,,,,c1,,555-0104,voice\n"
    ),
    "contacts.csv": "id,organization_id,service_id,name\nc1,,s3,Ann\n",
    "regular_schedules.csv": (
        "id,service_id,location_id,service_at_location_id,weekday,opens_at,closes_at\n"
        "r1,s1,,,1,09:00,17:00\nr2,s1,,,2,09:00,17:00\nr3,s1,l2,,6,10:00,12:00\n"
    ),
    "eligibility.csv": (
        "id,service_id,eligibility\ne1,s1,veteran\ne2,s1,Must live in Taft. No pets.\n"
    ),
    "taxonomy.csv": (
        "id,name,parent_id,parent_name,vocabulary\n"
        "t1,Food Pantries,t2,Basic Needs,AIRS\nt2,Basic Needs,,,AIRS\nYB-8000,Older Adults,,,AIRS\n"
    ),
    "services_taxonomy.csv": (
        "id,service_id,taxonomy_id,taxonomy_detail\n"
        "k1,s1,t1,\nk2,s1,YB-8000,\nk3,s1,t9,\nk4,s9,t1,\n"
    ),
    "required_documents.csv": "id,service_id,document\nd1,s1,photo ID\n",
    "payments_accepted.csv": "id,service_id,payment\nb1,s1,cash\n",
    "metadata.csv": (
        "id,resource_id,last_action_date,last_action_type\nm1,s1,2025-01-02,update\n"
        "m2,s1,2025-06-07,update\n"
    ),
    "funding.csv": "id,service_id,source\nf1,s1,County\n",
    "notes.csv": "anything\nat all\n",
}


def put(folder: Path, files: dict[str, str]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def read(folder: Path, files: dict[str, str]) -> tuple[list[Service], ImportReport]:
    return read_directory(put(folder / "in", files))


def one_json(data: Any, folder: Path) -> Path:
    path = folder / "services.json"
    path.write_text(json.dumps(data), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "wrap",
    [
        lambda s: s,
        lambda s: [s],
        lambda s: {"services": [s]},
        lambda s: {"total_items": 1, "contents": [s]},
    ],
)
def test_a_full_json_service_fills_every_field(tmp_path: Path, wrap: Any) -> None:
    services, report = read_directory(one_json(wrap(FULL), tmp_path))
    assert services == [EXPECTED]
    assert report.services == 1
    assert [(s.where.split(".", 1)[-1], s.reason) for s in report.skipped] == [
        ("attributes[3].taxonomy_term", "no service uses it"),
        ("attributes[3]", "the term is neither a need nor a group of people"),
    ]


def test_services_in_their_organization_and_at_their_location_are_read(tmp_path: Path) -> None:
    service = {k: v for k, v in FULL.items() if k not in ("organization", "service_at_locations")}
    organization = {**FULL["organization"], "services": [service]}
    services, _ = read_directory(one_json([organization], tmp_path))
    assert services[0].organization == "Helping Hands"
    site = {**FULL["service_at_locations"][0], "service": {**service, "organization": {"id": "o1"}}}
    sites = [site, {**site, "id": "x2", "location": {"id": "l2", "name": "Annex"}}]
    services, _ = read_directory(one_json({"contents": sites}, tmp_path))
    assert [service.id for service in services] == ["s1@l1", "s1@l2"]


def test_pages_and_single_files_are_one_directory(tmp_path: Path) -> None:
    second = {**FULL, "id": "s2", "name": "Beds"}
    pages = {"1.json": json.dumps({"contents": [FULL]}), "2.json": json.dumps(second)}
    services, report = read(tmp_path, pages)
    assert [service.id for service in services] == ["s1", "s2"]
    assert services[1].address == services[0].address
    assert not [skip for skip in report.skipped if "before" in skip.reason]


def test_what_json_lists_twice_is_reported(tmp_path: Path) -> None:
    services, report = read_directory(one_json([FULL, FULL, 3, {"name": "no id"}], tmp_path))
    assert len(services) == 1
    reasons = {(skip.where, skip.reason) for skip in report.skipped}
    assert ("[1]", "id `s1` was used before, at [0]") in reasons
    assert ("[2]", "expected an object, found a number") in reasons
    assert ("[3]", "it has no id") in reasons


def test_a_package_of_version_2_is_joined(tmp_path: Path) -> None:
    services, _ = read(tmp_path, V2)
    first, annex, hotline = services
    assert first.id == "s1@l1"
    assert first == Service(
        id="s1@l1",
        organization="Helping Hands",
        name="Pantry",
        needs=("Food Pantries",),
        groups=("Older Adults", "veteran"),
        description="Groceries, bread",
        address="12 Main St",
        place="Taft",
        zip="93268",
        phone="555-0100",
        url="https://hands.example",
        hours="Mon, Tue 9am-5pm",
        eligibility="veteran, Must live in Taft. No pets.",
        how_to_apply="Walk in; bring: photo ID",
        fees="Free; accepts cash",
        source_date="2025-06-07",
    )
    assert (annex.id, annex.address, annex.place) == ("s1@l2", "Annex, 9 Oak St", "Arvin")
    assert (annex.phone, annex.hours) == ("555-0102", "Sat 10am-noon")
    assert (hotline.id, hotline.organization, hotline.place) == ("s3", "", "")
    assert hotline.phone == "555-0104"


def test_the_report_gives_every_skipped_row_its_reason(tmp_path: Path) -> None:
    _, report = read(tmp_path, V2)
    told = {(skip.file, skip.where): skip.reason for skip in report.skipped}
    assert told == {
        ("services.csv", "line 4"): "its status is inactive",
        ("services_at_location.csv", "line 4"): "there is no service `s9`",
        ("services_at_location.csv", "line 5"): "service `s1` is at that location already",
        ("phones.csv", "line 4"): "it belongs to nothing: no id of an owner",
        ("locations.csv", "line 4"): "no service uses it",
        ("services_taxonomy.csv", "line 4"): "there is no taxonomy term `t9`",
        ("services_taxonomy.csv", "line 5"): "there is no service `s9`",
        ("taxonomy.csv", "line 3"): "no service uses it",
    }
    assert report.read["service"] == 3
    assert report.joined["service"] == 2
    assert sum(report.read.values()) == sum(report.joined.values()) + len(report.skipped)
    assert "services without a known organization: 1" in report.warnings
    assert "not used: funding.csv" in report.warnings
    assert "not used: notes.csv (no table of HSDS)" in report.warnings
    text = str(report)
    assert text.startswith("3 services from in (Open Referral HSDS): 34 rows read")
    assert "services.csv line 4: its status is inactive" in text


def test_a_zip_of_version_2_reads_as_its_folder(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as archive:
        for name, text in V2.items():
            archive.writestr(f"export/{name}", text)
    assert read_directory(tmp_path / "in.zip")[0] == read(tmp_path, V2)[0]


def test_a_package_of_version_3_is_joined_by_its_singular_names(tmp_path: Path) -> None:
    files = {
        "organization.csv": "id,name,website\no1,Helping Hands,https://hands.example\n",
        "service.csv": (
            "id,organization_id,name,status,fees_description,assured_date\n"
            "s1,o1,Pantry,temporarily closed,Free,2026-01-01\n"
        ),
        "location.csv": "id,location_type,name\nl1,physical,\n",
        "service_at_location.csv": "id,service_id,location_id\nx1,s1,l1\n",
        "address.csv": "id,location_id,address_1,city,postal_code\na1,l1,12 Main St,Taft,93268\n",
        "phone.csv": "id,service_at_location_id,number\np1,x1,555-0100\n",
        "schedule.csv": (
            'id,service_id,freq,byday,opens_at,closes_at\nh1,s1,WEEKLY,"MO,WE",09:00,12:00\n'
        ),
        "attribute.csv": (
            "id,link_id,taxonomy_term_id,link_type,link_entity\n"
            "k1,s1,t1,,service\nk2,x1,t2,,service_at_location\nk3,o1,t1,,organization\n"
        ),
        "taxonomy_term.csv": (
            "id,code,name,parent_id,taxonomy_id\nt1,F,Food,,y1\nt2,V,Veterans,t3,y2\n"
            "t3,P,All,t2,y2\n"
        ),
        "taxonomy.csv": "id,name\ny1,Service types\ny2,Audience\n",
        "cost_option.csv": "id,service_id,amount,currency,option\nc1,s1,,,Donations welcome\n",
    }
    services, report = read(tmp_path, files)
    assert services == [
        Service(
            id="s1",
            organization="Helping Hands",
            name="Pantry",
            needs=("Food",),
            groups=("Veterans",),
            description="Temporarily closed.",
            address="12 Main St",
            place="Taft",
            zip="93268",
            phone="555-0100",
            url="https://hands.example",
            hours="Mon, Wed 9am-noon",
            fees="Free; Donations welcome",
            source_date="2026-01-01",
        )
    ]
    assert "taxonomy term `t2` is above itself" in report.warnings
    assert "terms of a organization are not used" in {skip.reason for skip in report.skipped}


def test_a_datapackage_says_which_file_is_which(tmp_path: Path) -> None:
    resources = [
        {"name": "service", "path": "data/angebote.csv"},
        {"name": "organization", "path": ["data/traeger.csv"]},
        {"name": "phone", "path": "missing.csv"},
        {"name": "secret", "path": "../../secret.csv"},
        "rubbish",
    ]
    put(tmp_path / "in", {"datapackage.json": json.dumps({"resources": resources})})
    put(
        tmp_path / "in" / "data",
        {
            "angebote.csv": "id,organization_id,name\ns1,o1,Pantry\n",
            "traeger.csv": "id,name\no1,Helping Hands\n",
        },
    )
    services, report = read_directory(tmp_path / "in")
    assert (services[0].name, services[0].organization) == ("Pantry", "Helping Hands")
    assert any("without a need" in warning for warning in report.warnings)


def test_our_own_csv_is_read_with_its_reasons(tmp_path: Path) -> None:
    text = (
        "id,organization,service,resource_types,city,mood\n"
        "a,Hands,Pantry,food; Housing ;,Taft,good\n"
        "a,Hands,Beds,housing,,\n,Hands,Soup,food,,\nb,Hands,,food,,\n"
    )
    services, report = read(tmp_path, {"anything.csv": text})
    assert services == [Service("a", "Hands", "Pantry", ("food", "Housing"), place="Taft")]
    assert [(s.where, s.reason) for s in report.skipped] == [
        ("line 3", "id `a` was used before, at line 2"),
        ("line 4", "it has no id"),
        ("line 5", "it has no service"),
    ]
    assert report.warnings == ("columns that are not ours were left out: mood",)


def test_the_shipped_rows_import_as_they_are(kern: Any) -> None:
    services, report = read_directory(kern.folder)
    assert tuple(services) == kern.services
    assert (report.title, report.helpline) == (kern.title, "2-1-1")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"services.csv": "id,name\n"}, "services.csv has no services: only a header"),
        ({"services.csv": ""}, "services.csv is empty"),
        ({"services.csv": "id,title\ns1,Beds\n"}, "services.csv line 1: column name is missing"),
        ({"services.csv": "id,name\ns1\n"}, "services.csv line 2, after column id: 1 cells"),
        ({"services.csv": 'id,name\ns1,"Beds\n'}, "services.csv line 2"),
        ({"services.csv": "id,name\n,\n ,Beds\n"}, "line 3: it has no id"),
        ({"services.csv": "id,name,status\ns1,Beds,defunct\n"}, "its status is defunct"),
        ({"organizations.csv": "id,name\no1,Hands\n"}, "has no services"),
        (
            {"services.csv": "id,name\ns1,Beds\n", "phones.csv": "id,service_id\np1,s1\n"},
            "phones.csv line 1: column number is missing",
        ),
        ({"a.json": '{"services": [\n{"id": 1,}]}'}, "a.json line 2 column 10"),
        ({"a.json": ""}, "a.json line 1 column 1"),
        ({"a.json": "3"}, "a.json: not HSDS JSON, expected services, found a number"),
        ({"a.json": "null"}, "found nothing"),
        ({"a.json": '{"pets": []}'}, "a.json: not HSDS JSON, found no list of services"),
        ({"a.json": "[]"}, "has no services"),
        ({"a.json": "[[[]]]"}, "has no services"),
        ({"a.json": "[" * 200_000}, "a.json"),
        ({"a.json": '{"id":' * 900 + "1" + "}" * 900}, "has no service"),
        ({"a.json": '[{"id": ' + "9" * 5000 + "}]"}, "a.json: not HSDS JSON"),
        ({"datapackage.json": "[]", "a.csv": "x\n"}, "datapackage.json: `resources`"),
        ({"directory.toml": "[rows]\na = 'no.csv'\n"}, "has no file no.csv"),
        ({"directory.toml": "[rows\n"}, "directory.toml"),
        ({"a.csv": "id,organization,service\n"}, "only a header"),
    ],
)
def test_a_broken_or_empty_directory_is_one_clear_line(
    tmp_path: Path, files: dict[str, str], message: str
) -> None:
    with pytest.raises(DirectoryError) as error:
        read(tmp_path, files)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
