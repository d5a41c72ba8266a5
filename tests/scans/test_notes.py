"""Sentences on what was assumed: where they go, and how they name several things."""

import threading

import pytest

from brainseg.scans.notes import listed, note, noting, summed_up, told_together


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


def test_what_is_said_alike_of_many_is_said_once():
    masks = [f"a/P{n}: left out as masks: P{n}_seg.nii.gz{', b_seg.nii' * n}." for n in range(5)]
    others = [f"a/P{n}: left out as others: P{n}_t2.nii.gz." for n in range(3)]
    colours = [f"{name}.png is in colour: red was read as T1." for name in ("one", "two", "xyz")]
    notes = [masks[0], *others, *masks[1:], *colours, "s.png is in colour: red was read as T1."]
    told = summed_up(notes)
    assert told == [
        f"{masks[0]} (The same or the like of 4 more.)",
        *others,
        f"{colours[0]} (The same or the like of 3 more.)",
    ]
    assert summed_up([]) == [] and summed_up(notes[:4]) == notes[:4]


def test_notes_of_a_block_are_passed_on_summed_up(caplog):
    with told_together():
        for number in range(9):
            note(f"{number}.png was turned.")
        note("all is well")
    assert caplog.messages == [
        "0.png was turned. (The same or the like of 8 more.)",
        "all is well",
    ]
    with noting() as notes, pytest.raises(ValueError), told_together():
        note("before the fault")
        raise ValueError
    assert notes == ["before the fault"]
