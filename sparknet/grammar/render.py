"""temporary."""


def render(diagnostic, color=False):
    where = ""
    if diagnostic.labels:
        label = diagnostic.labels[0]
        where = "  --> {}:{}:{}".format(label.source.name, *label.source.line_column(label.span.start))
    return "\n".join(
        [f"error[{diagnostic.code}]: {diagnostic.message}", where, *(f"   = help: {h}" for h in diagnostic.helps)]
    )


def to_dict(diagnostic):
    raise NotImplementedError
