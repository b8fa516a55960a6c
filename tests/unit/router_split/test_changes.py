"""Changes of Pages, Instagram accounts, permissions and users. META.md section 7."""

from __future__ import annotations

import pytest

from contracts.control import IdKind
from contracts.pseudonyms import Alias, Domain
from router.split import AccountKey, BadItem, Item, split
from router.split.requests import removes_account, scope_of, unsends
from tests.fixtures.meta.bodies import (
    INSTAGRAM,
    NOW_S,
    PAGE,
    PSID,
    change,
    item,
    message,
    messaging,
    status,
    value,
    whatsapp,
)


def only(body: bytes) -> Item:
    (found,) = split(body)
    assert isinstance(found, Item)
    return found


def feed(item: str, verb: str, **more: object) -> bytes:
    return change(
        "feed",
        {"item": item, "verb": verb, "from": {"id": PSID, "name": "Ana"}, "created_time": NOW_S, **more},
    )


def comment(verb: str, message: str = "Oi") -> bytes:
    return feed("comment", verb, comment_id="1_2", post_id="1", message=message)


@pytest.mark.parametrize(
    ("verb", "event_type"),
    [
        ("add", "comment.created"),
        ("edit", "comment.edited"),
        ("edited", "comment.edited"),
        ("remove", "comment.removed"),
        ("hide", "comment.hidden"),
        ("unhide", "comment.unhidden"),
        ("mute", "comment.changed"),
    ],
)
def test_a_comment_on_a_page_is_named_after_what_happened_to_it(verb: str, event_type: str) -> None:
    found = only(comment(verb))
    assert (found.event_type, found.native_id, found.message_id) == (event_type, "1_2", "1_2")
    assert found.aliases == (Alias(Domain.PSID, PSID),)


def test_two_edits_of_a_comment_with_the_same_created_time_are_two_events() -> None:
    first, second = only(comment("edited", message="a")), only(comment("edited", message="b"))
    assert first.discriminator != second.discriminator


def test_only_a_new_comment_is_dated_by_created_time() -> None:
    assert only(comment("add")).occurred_at_ms == NOW_S * 1000
    assert only(comment("remove")).occurred_at_ms is None


def test_older_feed_values_name_the_sender_beside_from() -> None:
    body = {"item": "comment", "verb": "add", "comment_id": "1", "sender_id": int(PSID), "sender_name": "Ana"}
    found = only(change("feed", body))
    assert found.data["person"] == {"psid": PSID, "name": "Ana"}


def test_a_comment_of_the_page_itself_is_outbound_and_about_nobody() -> None:
    found = only(change("feed", {"item": "comment", "verb": "add", "comment_id": "1", "from": {"id": PAGE}}))
    assert (found.event_type, found.direction, found.aliases) == ("comment.created", "outbound", ())


def test_an_instagram_comment_is_undated_and_by_its_author() -> None:
    body = {"id": "5", "text": "Oi", "from": {"id": "9", "username": "ana"}, "media": {"id": "7"}}
    found = only(change("comments", body, of="instagram", account=INSTAGRAM))
    assert (found.event_type, found.native_id, found.occurred_at_ms) == ("comment.created", "5", None)
    assert found.aliases == (Alias(Domain.IGSID, "9"),)
    assert found.data["comment"] == {
        "id": "5",
        "text": "Oi",
        "post_id": "7",
        "live": False,
    }


@pytest.mark.parametrize("author", [{"id": INSTAGRAM}, {"id": "9", "self_ig_scoped_id": "9"}])
def test_an_instagram_accounts_own_comment_is_outbound(author: object) -> None:
    body = {"id": "5", "text": "Oi", "from": author}
    found = only(change("live_comments", body, of="instagram", account=INSTAGRAM))
    assert (found.direction, found.aliases, found.data["comment"]["live"]) == ("outbound", (), True)


def test_a_comment_without_id_is_carried_as_unknown() -> None:
    assert only(change("comments", {"text": "Oi"}, of="instagram")).event_type == "unknown.received"


def test_a_mention_without_time_id_or_person_is_told_apart_by_the_entrys_time() -> None:
    found = only(change("mentions", {"media_id": "7"}, of="instagram"))
    assert (found.occurred_at_ms, found.native_id, found.aliases) == (None, None, ())
    assert found.discriminator[-1] == str(NOW_S)


def test_a_mention_with_an_id_of_its_own_is_not_told_apart_by_the_entrys_time() -> None:
    found = only(change("mentions", {"media_id": "7", "comment_id": "8"}, of="instagram"))
    assert str(NOW_S) not in found.discriminator


def test_a_rating_is_about_its_reviewer() -> None:
    body = {
        "item": "rating",
        "verb": "add",
        "reviewer_id": PSID,
        "reviewer_name": "Ana",
        "created_time": NOW_S,
    }
    found = only(change("ratings", body))
    assert found.aliases == (Alias(Domain.PSID, PSID),)
    assert found.occurred_at_ms == NOW_S * 1000


def test_a_change_without_value_is_kept() -> None:
    found = only(change("novelty", None))
    assert (found.event_type, found.data["field"]) == ("unknown.received", "novelty")


@pytest.mark.parametrize("of", ["permissions", "user"])
def test_permissions_belong_to_the_administrators_app_scoped_id_and_are_about_nobody(of: str) -> None:
    found = only(change("email", "a@b.example", of=of, account="77", verb="update"))
    assert found.account == AccountKey(IdKind.APP_SCOPED_USER, "77")
    assert (found.aliases, found.conversation) == ((), None)
    assert found.data["fragment"] == {"field": "email", "value": "a@b.example", "verb": "update"}


@pytest.mark.parametrize(
    "body",
    [
        whatsapp({"event": "ACCOUNT_DELETED"}, "account_update"),
        whatsapp({"event": "ACCOUNT_OFFBOARDED"}, "account_update"),
        whatsapp({"event": "PARTNER_REMOVED", "waba_info": {"waba_id": "1"}}, "account_update"),
        whatsapp({"event": "PARTNER_APP_UNINSTALLED", "waba_info": {"waba_id": "1"}}, "account_update"),
        change("connected", None, of="permissions", account="77", verb="revoked"),
        change("pages_messaging", {"verb": "revoked", "target_ids": ["1"]}, of="permissions", account="77"),
    ],
)
def test_an_account_that_leaves_is_noticed(body: bytes) -> None:
    assert removes_account(only(body))


@pytest.mark.parametrize(
    "body",
    [
        whatsapp({"event": "PARTNER_ADDED"}, "account_update"),
        whatsapp({"event": "ACCOUNT_DELETED"}, "account_review_update"),
        whatsapp({"event": ["ACCOUNT_DELETED"]}, "security"),
        change("connected", None, of="permissions", account="77", verb="granted"),
        messaging(item(message={"mid": "x", "text": "ACCOUNT_DELETED"})),
    ],
)
def test_an_account_that_stays_is_not_taken_for_one_that_leaves(body: bytes) -> None:
    assert not removes_account(only(body))


@pytest.mark.parametrize(
    ("body", "target"),
    [
        (messaging(item(message={"mid": "x", "is_deleted": True})), "x"),
        (whatsapp(value(messages=[message(type="revoke", revoke={"original_message_id": "w"})])), "w"),
        (comment("remove"), "1_2"),
        (feed("post", "remove", post_id="1"), "1"),
        (feed("photo", "remove", post_id="1", photo_id="3"), "1"),
        (change("ratings", {"item": "rating", "verb": "remove", "open_graph_story_id": 9}), "9"),
        (
            change("ratings", {"item": "comment", "verb": "remove", "comment_id": "1_2", "post_id": "1"}),
            "1_2",
        ),
    ],
)
def test_what_was_taken_back_is_noticed_with_its_id(body: bytes, target: str) -> None:
    found = only(body)
    assert unsends(found)
    assert found.message_id == target


@pytest.mark.parametrize(
    "body",
    [
        messaging(item(message={"mid": "x"})),
        comment("hide"),
        feed("post", "add", post_id="1"),
        feed("reaction", "remove", post_id="1"),
        feed("like", "remove", comment_id="1_2"),
        feed("post", "remove"),
    ],
)
def test_what_stays_is_not_taken_for_taken_back(body: bytes) -> None:
    assert not unsends(only(body))


@pytest.mark.parametrize(
    ("body", "scope"),
    [
        (messaging(item(message={"mid": "x"})), "messaging"),
        (messaging(item(optin={"ref": "x"})), "messaging"),
        (comment("add"), "comments"),
        (feed("post", "add", post_id="1"), "comments"),
        (whatsapp(value(errors=[{"code": 1}])), "messaging"),
        (whatsapp({"event": "DISABLED_UPDATE"}, "account_update"), "account"),
        (whatsapp({"wa_id": "14155550100"}, "novelty"), "messaging"),
        (change("connected", None, of="permissions", verb="granted"), "account"),
        (whatsapp(value(statuses=[status("read")])), "messaging"),
    ],
)
def test_every_item_has_the_consent_scope_of_what_it_is_about(body: bytes, scope: str) -> None:
    assert scope_of(only(body)) == scope


def test_an_entry_with_changed_fields_only_is_kept() -> None:
    found = split(b'{"object":"page","entry":[{"id":"1","time":2,"changed_fields":["feed","name"]}]}')
    assert len(found) == 1
    assert not isinstance(found[0], BadItem)
    assert found[0].data["fragment"] == {"changed_fields": ["feed", "name"]}
    assert found[0].data["envelope"]["entry"] == {"id": "1", "time": 2}


@pytest.mark.parametrize("verb", ["hide", "unhide"])
def test_only_the_page_hides_and_the_person_is_the_author_of_what_was_hidden(verb: str) -> None:
    found = only(comment(verb))
    assert (found.direction, found.aliases) == ("outbound", (Alias(Domain.PSID, PSID),))


def test_who_likes_the_page_itself_is_known_by_user_id() -> None:
    found = only(change("feed", {"item": "like", "verb": "add", "user_id": int(PSID)}))
    assert found.aliases == (Alias(Domain.PSID, PSID),)
