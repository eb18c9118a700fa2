def make_exact(data, seed):
    pass
