//! Reports of runs through the binary: every form, what each figure is, and what is refused.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;
use support::command::{Models, Spec, assert_one_line, stdout};

const SPEC: Spec = Spec(env!("CARGO_BIN_EXE_spec"));
const SUFFIXES: [&str; 8] = ["md", "csv", "json", "jsonl", "parquet", "tex", "html", "svg"];

/// A sweep of two methods, two numbers of candidates and two temperatures, with its folder.
fn sweep(models: &Models, name: &str, more: &[&str]) -> PathBuf {
    let out = models.folder.path().join(name);
    let flags = ["--method", "tli,tree", "--gamma", "2,3", "--temperature", "0,1", "--out"];
    stdout(&models.bench("draft", &[&flags[..], &[out.to_str().unwrap()], more].concat()));
    out
}

fn report(runs: &[&Path], flags: &[&str]) -> Output {
    let runs: Vec<&str> = runs.iter().map(|run| run.to_str().unwrap()).collect();
    SPEC.run(&[&["report"], &runs[..], flags].concat())
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&text(path)).unwrap()
}

/// Flags that export to these files.
fn flags(paths: &[String]) -> Vec<&str> {
    paths.iter().flat_map(|path| ["--export", path.as_str()]).collect()
}

/// What starts with a tag's `opening`, up to the next one, in a page.
fn parts<'a>(page: &'a str, opening: &str) -> Vec<&'a str> {
    page.split(opening).skip(1).collect()
}

fn attribute<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    let tag = &tag[..tag.find('>')?];
    tag.split_once(&format!("{name}=\""))?.1.split_once('"').map(|found| found.0)
}

fn unescaped(path: &str) -> String {
    path.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&")
}

/// Fails unless all figures of a page or drawing are those of an object, where they say that they stand;
/// gives the places of those that are text and of those that are drawn.
fn check_figures(page: &str, json: &Value) -> (BTreeSet<String>, BTreeSet<String>) {
    let number = |text: &str| text.parse::<f64>().unwrap();
    let (mut written, mut drawn) = (BTreeSet::new(), BTreeSet::new());
    for tag in parts(page, "<data ") {
        let path = unescaped(attribute(tag, "data-path").unwrap());
        let value = number(attribute(tag, "data-value").unwrap());
        assert_eq!(json.pointer(&path).and_then(Value::as_f64), Some(value), "{path}");
        let shown = tag.split_once('>').unwrap().1.split_once("</data>").unwrap().0;
        let scale = match attribute(tag, "data-form").unwrap() {
            "percent" => 100.0,
            "milliseconds" => 1e3,
            "bytes" => {
                let unit = shown.split_once(' ').unwrap().1;
                let power = ["B", "KiB", "MiB", "GiB"].iter().position(|own| *own == unit).unwrap();
                1024_f64.powi(-(power as i32))
            }
            _ => 1.0,
        };
        let digits = shown.replace('−', "-").replace(['+', ','], "");
        let shown = number(digits.split(' ').next().unwrap());
        let error = (shown - value * scale).abs();
        assert!(error <= 0.006 * (value * scale).abs(), "{path}: {shown} is not {value}");
        written.insert(path);
    }
    for tag in parts(page, "<g data-path=") {
        let path = unescaped(tag[1..].split_once('"').unwrap().0);
        let found = json.pointer(&path).unwrap_or_else(|| panic!("{path}"));
        for (name, field) in [("data-value", "value"), ("data-low", "low"), ("data-high", "high")] {
            let value = attribute(tag, name).map(number);
            let expected = if found.is_object() { &found[field] } else { found };
            match value {
                Some(value) => assert_eq!(expected.as_f64(), Some(value), "{path} {field}"),
                None => assert!(!found.is_object() || expected.is_null(), "{path} {field}"),
            }
        }
        drawn.insert(path);
    }
    (written, drawn)
}

fn check_alone(page: &str) {
    for part in ["http:", "https:", "src=", "@import", "url(", "<script", "<link", "<iframe"] {
        // The name of SVG's elements is no address.
        let page = page.replace("xmlns=\"http://www.w3.org/2000/svg\"", "");
        assert!(!page.contains(part), "{part}");
    }
    assert!(parts(page, "href=\"").iter().all(|own| own.starts_with('#')));
    assert!(!page.contains("NaN") && !page.contains(">null<"));
}

#[test]
fn every_figure_of_the_page_is_that_of_the_report_and_the_page_needs_nothing_else() {
    let models = Models::new(SPEC);
    let run = sweep(&models, "run", &[]);
    let page = run.join("page.html");
    assert!(stdout(&report(&[&run], &["--html", page.to_str().unwrap()])).is_empty());
    let (page, json) = (text(&page), json(&run.join("report.json")));
    check_alone(&page);
    let (written, drawn) = check_figures(&page, &json);
    let cases = json["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 10);
    for (index, case) in cases.iter().enumerate().filter(|(_, case)| !case["costs"].is_null()) {
        for field in ["draft_acceptance_rate", "mean_acceptance_length", "speedup"] {
            for limit in ["value", "low", "high"] {
                let path = format!("/cases/{index}/overall/{field}/{limit}");
                assert!(written.contains(&path), "{path}");
            }
        }
        for path in ["by_category/x/draft_acceptance_rate", "costs/measured", "costs/predicted"] {
            assert!(drawn.contains(&format!("/cases/{index}/{path}")), "{} {path}", case["case"]);
        }
        for part in ["prefill", "draft", "align", "verify", "other"] {
            assert!(drawn.contains(&format!("/cases/{index}/overall/seconds_share/{part}")));
        }
        for path in ["acceptance_by_position/0", "acceptance_by_probability/0/acceptance"] {
            assert!(drawn.contains(&format!("/cases/{index}/overall/{path}")), "{path}");
        }
    }
    assert!(written.iter().any(|path| path.starts_with("/differences/0/figures/")));
}

#[test]
fn every_form_is_written_by_its_suffix() {
    let models = Models::new(SPEC);
    let at = |name: &str| models.folder.path().join(name).display().to_string();
    let during: Vec<String> = SUFFIXES.iter().map(|own| at(&format!("during.{own}"))).collect();
    let after: Vec<String> = SUFFIXES.iter().map(|own| at(&format!("after.{own}"))).collect();
    let run = sweep(&models, "run", &flags(&during));
    stdout(&report(&[&run], &flags(&after)));
    for (during, after) in during.iter().zip(&after) {
        let bytes = |path: &String| fs::read(path).unwrap();
        assert!(bytes(during) == bytes(after), "{during} is not {after}");
    }
    let read = |suffix: &str| text(Path::new(&at(&format!("after.{suffix}"))));
    assert_eq!(read("json"), text(&run.join("report.json")));
    assert_eq!(read("jsonl"), text(&run.join("records.jsonl")));
    assert_eq!(read("md"), text(&run.join("report.md")));
    let lines: Vec<String> = read("csv").lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), 1 + 8 * 3, "a row a case, and one each of its two categories");
    let cells: BTreeSet<usize> = lines.iter().map(|line| line.split(',').count()).collect();
    assert_eq!(cells.len(), 1, "no cell of these holds a comma");
    assert!(read("tex").contains("\\toprule") && read("tex").contains("up to 20 new tokens"));
    let svg = read("svg");
    check_alone(&svg);
    assert!(!svg.contains("var("), "colours are colours");
    assert!(check_figures(&svg, &json(&run.join("report.json"))).1.len() > 50);
    assert!(fs::read(at("after.parquet")).unwrap().starts_with(b"PAR1"));
    let partial = |entry: &fs::DirEntry| entry.path().display().to_string().ends_with(".partial");
    let left = fs::read_dir(models.folder.path()).unwrap().map(Result::unwrap);
    assert_eq!(left.filter(partial).count(), 0);
}

#[test]
fn several_runs_stand_side_by_side() {
    let models = Models::new(SPEC);
    let (a, b) = (sweep(&models, "a", &[]), sweep(&models, "b", &["--seed", "1"]));
    let other = sweep(&models, "other", &["--top-p", "0.9"]);
    let (page, object) = (a.join("page.html"), a.join("all.json"));
    let flags = ["--html", page.to_str().unwrap(), "--export", object.to_str().unwrap()];
    assert!(stdout(&report(&[&a, &b, &other], &flags)).is_empty());
    let (page, object) = (text(&page), json(&object));
    check_alone(&page);
    let (written, drawn) = check_figures(&page, &object);
    for run in 0..3 {
        let place = format!("/runs/{run}/report/cases/");
        assert!(written.iter().chain(&drawn).any(|path| path.starts_with(&place)));
    }
    let differences = object["differences"].as_array().unwrap();
    assert_eq!(differences.len(), 8, "each case of b against the same of a");
    assert!(differences.iter().all(|own| {
        let name = |side: &str| own[side].as_str().unwrap().split_once('/').unwrap().1.to_owned();
        name("from") == name("to") && own["prompts"] == 8
    }));
    assert!(page.contains("other is not compared with a: their sampling settings differ"));
    let table = stdout(&report(&[&a, &b, &other], &[]));
    assert!(table.contains("other/tree gamma 3 T 1"), "{table}");
    assert!(table.contains("not compared"), "{table}");
    let alone = stdout(&report(&[&a], &["--json"]));
    assert_eq!(serde_json::from_str::<Value>(&alone).unwrap(), json(&a.join("report.json")));
}

#[test]
fn what_cannot_be_written_is_refused_before_anything_is_run() {
    let models = Models::new(SPEC);
    let folder = models.folder.path();
    let at = |name: &str| folder.join(name).display().to_string();
    fs::create_dir(at("folder.md")).unwrap();
    let suffixes = ".md .csv .json .jsonl .parquet .tex .html .svg";
    let (none, is_folder) = (at("none/a.md"), at("folder.md"));
    for (path, part) in
        [("a.xls", suffixes), ("a", suffixes), (&none, &none), (&is_folder, "folder")]
    {
        for command in [&["bench", "--draft", "nowhere"][..], &["report", "nowhere"]] {
            assert_one_line(&SPEC.run(&[command, &["--export", path]].concat()), &[part]);
        }
    }
    assert_one_line(&report(&[Path::new("nowhere")], &[]), &["nowhere", "spec bench"]);
    let page = at("a.html");
    let twice = ["--html", &page, "--export", &page];
    assert_one_line(&report(&[Path::new("nowhere")], &twice), &["named twice"]);
    assert!(!Path::new(&page).exists());
}
