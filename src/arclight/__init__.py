"""Arclight: a run is a directory that can be resumed, evaluated, reproduced and trusted."""
