"""Behavioral tests: functional test cases in the style of HateCheck and CheckList."""
