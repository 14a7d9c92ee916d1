"""Inputs that no honest user gives, and a player that hands them to the command line."""

import pytest

pytest.register_assert_rewrite("tests.hostile.case")
