# SPDX-License-Identifier: MIT
"""What the benchmarks' command lines and the ends of their output have in common."""
import argparse


def choice(allowed):
    """A type of argparse: some of `allowed`, with commas."""
    def parse_list(text):
        chosen = text.split(",")
        for word in chosen:
            if word not in allowed:
                raise argparse.ArgumentTypeError(f"{word} is none of {', '.join(allowed)}")
        return chosen
    return parse_list


def add_sizes(parser, sizes):
    """Options for how much is measured; `sizes` is {option: (quick, full, help)}."""
    parser.add_argument("--quick", action="store_true")
    for name, (quick, full, text) in sizes.items():
        parser.add_argument("--" + name.replace("_", "-"), type=int,
                            help=f"{text}: {quick} or {full}")


def settle_sizes(args, sizes):
    """What was not given is as --quick says."""
    for name, (quick, full, _) in sizes.items():
        if getattr(args, name) is None:
            setattr(args, name, quick if args.quick else full)


def print_figures(figures):
    """Each figure, [(text, value, unit, sign, target)], beside its target."""
    print()
    for text, value, unit, sign, target in figures:
        is_met = {"<=": value <= target, "<": value < target, ">=": value >= target}[sign]
        print(f"{text:<60}{value:>12,.2f} {unit:<4} (target {sign} {target:,.10g}): "
              f"{'met' if is_met else 'NOT MET'}", flush=True)


def as_results(figures):
    """The same for the file of results."""
    return [dict(zip(("what", "value", "unit", "sign", "target"), figure)) for figure in figures]
