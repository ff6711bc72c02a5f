"""The plots of the report, drawn by gnuplot as SVG."""

import os
import subprocess

COLOURS = ["#4e79a7", "#bab0ac", "#f28e2b", "#59a14f", "#86bcb6", "#76b7b2",
           "#e15759", "#b07aa1", "#d4a6c8", "#edc948", "#9c755f", "#ff9da7"]

# A background of its own: pages are dark or bright.
HEAD = """
set terminal svg size {width},{height} noenhanced font 'sans-serif,13' background '#ffffff'
set output '{output}'
set border 3
set tics nomirror
set grid ytics linetype rgb '#dddddd'
"""


def gnuplot(directory, name, script, width=1000, height=420):
    head = HEAD.format(width=width, height=height,
                       output=os.path.join(directory, name + ".svg"))
    subprocess.run(["gnuplot"], input=head + script, text=True, check=True)


def data_block(name, rows):
    lines = [" ".join(str(field) for field in row) for row in rows]
    return "\n".join([f"${name} << END", *lines, "END", ""])


def quoted(text):
    """A string of gnuplot's; a new line stays one."""
    return '"' + text.replace("\n", "\\n") + '"'


def colour(number):
    return f"linecolor rgb '{COLOURS[number % len(COLOURS)]}'"


def colour_of(report, variant):
    """A variant has the same colour in all plots."""
    return colour(report.variants.index(variant))


def bars(report, directory, name, workload, cases, titles, metric, label):
    """A cluster of bars for each case, a bar for each variant: ratios, with
    the smallest and the largest of the rounds."""
    series = []
    for variant in report.variants:
        if variant in ("none", "client-floor"):
            continue
        base = "client-floor" if variant == "client" else "none"
        spreads = [report.samples.ratio(workload, case, variant, metric, base)
                   for case in cases]
        if any(spreads):
            series.append((variant, spreads))
    if not series:
        return
    script = ""
    for number, (_, spreads) in enumerate(series):
        rows = [(quoted(title), *((s.median, s.low, s.high) if s
                                  else ("NaN", "NaN", "NaN")))
                for title, s in zip(titles, spreads)]
        script += data_block(f"data{number}", rows)
    highest = max(s.high for _, spreads in series for s in spreads if s)
    if highest > 5:
        script += "set logscale y 2\nset yrange [0.5:]\n"
    else:
        script += "set yrange [0:]\n"
    script += ("set style data histogram\n"
               "set style histogram errorbars gap 2 linewidth 1\n"
               "set style fill solid 1.0 noborder\nset errorbars 0.4 linecolor rgb '#333333'\n"
               "set key outside right top\nset bmargin 4\n"
               f"set ylabel {quoted(label)}\nset arrow from graph 0, first 1"
               " to graph 1, first 1 nohead dashtype 2 front\n")
    script += "plot " + ", \\\n\t".join(
        f"$data{number} using 2:3:4:xtic(1) {colour_of(report, variant)} title {quoted(variant)}"
        for number, (variant, _) in enumerate(series)) + "\n"
    gnuplot(directory, name, script)


def case_title(case):
    _, clients, synchrony = case.split("/")
    return f"{clients} client{'s' if clients != '1' else ''}\n{synchrony}"


def throughput(report, directory):
    for script in ("update", "standard"):
        cases = [case for case in report.samples.cases("throughput")
                 if case.startswith(script + "/")]
        titles = [case_title(case) for case in cases]
        bars(report, directory, f"throughput-{script}", "throughput", cases,
             titles, "tps", "tps, ratio to no tracking")


def bulk(report, directory):
    for workload in ("bulk", "bulk-small"):
        cases = report.samples.cases(workload)
        titles = [case.replace("1000", "1,000 keys").replace("distinct", "all keys")
                  .replace("/", "\n") for case in cases]
        bars(report, directory, workload, workload, cases, titles, "seconds",
             "time, ratio to no tracking")


def freshness(report, directory):
    """How many samples were gone by when, synchronous commits."""
    script, curves = "", []
    for variant in report.variants:
        path = os.path.join(report.results, f"freshness-sync-{variant}")
        if not os.path.exists(path):
            continue
        with open(path, encoding="utf-8") as file:
            values = sorted(float(line) for line in file)
        step = max(1, len(values) // 300)
        rows = [(values[i] / 1e3, (i + 1) / len(values))
                for i in [*range(0, len(values), step), len(values) - 1]]
        number = len(curves)
        script += data_block(f"data{number}", rows)
        curves.append(f"$data{number} using 1:2 with lines linewidth 2"
                      f" {colour_of(report, variant)} title {quoted(variant)}")
    if not curves:
        return
    script += ("set logscale x\nset xlabel 'ms from just before COMMIT'\n"
               "set ylabel 'share of keys gone'\nset yrange [0:1]\n"
               "set key outside right top\nplot " + ", \\\n\t".join(curves) + "\n")
    gnuplot(directory, "freshness", script)


def files(report, prefix):
    """What workloads left beside the samples: (rest of the name, path)."""
    return [(name[len(prefix):], os.path.join(report.results, name))
            for name in sorted(os.listdir(report.results))
            if name.startswith(prefix)]


def drain(report, directory):
    found = files(report, "drain-")
    if not found:
        return
    script = ("set xlabel 'seconds since Redis answers again'\n"
              "set ylabel 'million keys left'\nset yrange [0:]\nplot ")
    script += ", \\\n\t".join(
        f"'{path}' using 1:($2/1e6) with lines linewidth 2 {colour(number)}"
        f" title 'round {name}'" for number, (name, path) in enumerate(found)) + "\n"
    gnuplot(directory, "drain", script)


def health(report, directory):
    found = files(report, "health-")
    if not found:
        return
    script = ("set xlabel 'seconds'\nset ylabel 'tps'\nset yrange [0:]\n"
              "set y2label 'outbox, MB'\nset y2range [0:]\nset y2tics\n"
              "set key outside right top\nset border 11\nplot ")
    script += ", \\\n\t".join(
        f"'{path}' using 1:2 with lines {colour(3 * number)}"
        f" title {quoted(name + ', tps')},"
        f" '{path}' using 1:3 axes x1y2 with lines {colour(3 * number + 2)}"
        f" title {quoted(name + ', outbox')}"
        for number, (name, path) in enumerate(found)) + "\n"
    gnuplot(directory, "health", script)


def draw(report, directory):
    os.makedirs(directory, exist_ok=True)
    for plot in (throughput, bulk, freshness, drain, health):
        plot(report, directory)
