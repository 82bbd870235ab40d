"""The learning rate range test: find where the band of a cyclic schedule should lie.

Its results become cyclic schedules; other kinds have other boundaries.
"""
