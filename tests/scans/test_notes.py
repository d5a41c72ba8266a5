"""Sentences on what was assumed: where they go, and how they name several things."""

import threading

from brainseg.scans.notes import listed, note, noting


def test_notes_are_collected_once_and_in_order():
    with noting() as notes:
        note("b")
        note("a")
        note("b")
    assert notes == ["b", "a"]


def test_notes_of_another_thread_stay_there(caplog):
    with noting() as notes:
        thread = threading.Thread(target=note, args=("from elsewhere",))
        thread.start()
        thread.join()
    assert notes == []
    assert caplog.messages == ["from elsewhere"]


def test_without_a_collector_a_note_is_a_warning(caplog):
    note("three channels, read as T1, FLAIR and T1c")
    assert caplog.messages == ["three channels, read as T1, FLAIR and T1c"]


def test_a_sentence_names_the_first_few():
    assert listed("abc") == "a, b, c" and listed(iter("abc"), 2, "; ") == "a; b; ..."
    assert listed([]) == ""
