# SPDX-License-Identifier: Apache-2.0
"""``check``: the one call that an exercise ends with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .words import unknown

if TYPE_CHECKING:
    import pandas as pd

    from .catalogue import Exercise
    from .verdict import Question, Verdict

__all__ = ["check", "exercises"]


def check(name: str, answer: Any = ...) -> Question | Verdict:
    """Check an answer: measure again, and compare step by step.

    Parameters
    ----------
    name
        Which of `exercises`.
    answer
        What you think; without it the question is shown, and nothing is measured.

    Returns
    -------
    Question or Verdict
        Shows itself. Its attribute ``passed`` says whether the answer is right.

    Raises
    ------
    LessonError
        There is no such exercise, or it takes another kind of answer.
    SkbnbError
        What kept the kernel from being traced.
    """
    from .verdict import Question, Verdict

    exercise = _find(name)
    if answer is ...:
        return Question(name, exercise.question, exercise.takes.value)

    # What tables need, which takes long to import: an unknown name is told at once.
    from .experiments import measure, measure_twice
    from .judging import accept, judge, same_again

    accept(exercise, answer)
    if callable(answer):
        first, measured = measure_twice(answer)
        lines = tuple(same_again(first, measured))
        return Verdict(name, measured.source, lines, ("first", "again"))
    measured = measure(exercise.experiment, exercise.probe)
    return Verdict(name, measured.source, judge(exercise, answer, measured))


def exercises(lesson: str | None = None) -> pd.DataFrame:
    """The exercises that there are.

    Parameters
    ----------
    lesson
        Those of this lesson only.

    Returns
    -------
    pandas.DataFrame
        One row per exercise. Columns ``lesson``, ``exercise``, ``question`` and
        ``takes``, what an answer is.

    Raises
    ------
    LessonError
        There is no such lesson.
    """
    import pandas as pd

    from .catalogue import EXERCISES
    from .stage import LESSONS

    if lesson is not None and lesson not in LESSONS:
        raise unknown("lesson", lesson, LESSONS)
    rows = [
        (one.lesson, one.name, one.question, one.takes.value)
        for one in EXERCISES
        if lesson in (None, one.lesson)
    ]
    return pd.DataFrame(rows, columns=["lesson", "exercise", "question", "takes"])


def _find(name: str) -> Exercise:
    from .catalogue import EXERCISES

    found = {exercise.name: exercise for exercise in EXERCISES}
    if name not in found:
        raise unknown("exercise", name, list(found))
    return found[name]
