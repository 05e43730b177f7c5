"""Mixes a dataset from a base task and further parts, by a recipe. The result is a task file like any other.

`recipe_file` reads what is mixed, `parts` and `base` read the rows, `filters` and `sides` keep the splits
apart, `matching` chooses machine rows with the surface cues of human rows, `build` puts these steps in order,
`write` writes the folder, `place` moves it to its place, and `lineage` reads the origin of a mixed dataset
for model cards.
"""
