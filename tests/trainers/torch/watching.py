"""What an optimizer of torch uses, seen from within."""


def watched(optimizer, number=0):
    """A list that gets, at each update, its rate and momentum in a parameter group."""
    used = []

    def look(*_):
        group = optimizer.param_groups[number]
        momentum = group["betas"][0] if "betas" in group else group.get("momentum")
        used.append((float(group["lr"]), momentum))

    optimizer.register_step_pre_hook(look)
    return used
