//! Which files of a folder or of a dataset are a suite's: by the words of their names. Knows no row.

use std::path::Path;
use std::rc::Rc;

use anyhow::{Result, bail};

use super::HubData;
use crate::data::downloads::Downloads;
use crate::data::source::{Source, TextFile};

/// Words for a split in names of files.
const SPLITS: [&[&str]; 3] = [&["validation", "valid", "val", "dev"], &["test"], &["train"]];

/// A branch on which the Hub keeps every dataset as Parquet, by configuration and split.
const CONVERTED: &str = "refs/convert/parquet";

/// Which data is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The suite's name.
    pub suite: &'a str,
    /// Where it is on the Hub.
    pub data: HubData,
    /// Whether a folder is of several suites, so that a file must name its own.
    pub is_one_of_several: bool,
}

impl Wanted<'_> {
    /// Files of what the user names, or of the suite's own dataset.
    pub fn open(self, named: Option<&str>, downloads: &Rc<Downloads>) -> Result<Source> {
        match named {
            None => self.of_hub(downloads),
            Some(name) if Path::new(name).is_dir() => {
                let source = Source::below(Path::new(name))?;
                self.among(source, name)
            }
            Some(name) => {
                let source = Source::open(name, downloads)?;
                if source.files.len() == 1 { Ok(source) } else { self.among(source, name) }
            }
        }
    }

    fn of_hub(self, downloads: &Rc<Downloads>) -> Result<Source> {
        let HubData { dataset, configuration, split } = self.data;
        let name = format!("hf://datasets/{dataset}");
        let open = |name: &str| -> Result<Option<Source>> {
            let mut source = Source::open(name, downloads)?;
            source.files.retain(|file| {
                let words = words(&file.name_below(Path::new("")));
                let configured = configuration.is_none_or(|own| holds(&words, own));
                is_records(file) && configured && of_split(&words, split)
            });
            Ok((!source.files.is_empty()).then(|| narrowed(source)))
        };
        let first = open(&name);
        if let Ok(Some(source)) = first {
            return Ok(source);
        }
        match (open(&format!("{name}@{CONVERTED}")), first) {
            (Ok(Some(source)), _) => Ok(source),
            (_, Err(error)) => Err(error.context(format!(
                "no data for --suite {}; name a file or folder with --data",
                self.suite
            ))),
            _ => bail!(
                "{name} has no file of the split `{split}`{}; name a file with --data",
                configuration.map_or_else(String::new, |own| format!(" of `{own}`"))
            ),
        }
    }

    /// Of a folder's files those that name the suite, its configuration and its split, each where any
    /// does; without this split those of the first other one.
    fn among(self, mut source: Source, name: &str) -> Result<Source> {
        let root = Path::new(name);
        let of = |file: &TextFile| words(&file.name_below(root));
        source.files.retain(is_records);
        let names_suite = source.files.iter().any(|file| holds(&of(file), self.suite));
        if source.files.is_empty() || self.is_one_of_several && !names_suite {
            bail!(
                "the data {name} holds no .jsonl or .parquet file that names {}; name its file with \
                 --data and --suite {0} alone",
                self.suite
            );
        }
        keep(&mut source.files, |file| holds(&of(file), self.suite));
        if let Some(own) = self.data.configuration {
            keep(&mut source.files, |file| holds(&of(file), own));
        }
        let others = SPLITS.iter().map(|words| words[0]);
        for split in [self.data.split].into_iter().chain(others) {
            if keep(&mut source.files, |file| of_split(&of(file), split)) {
                break;
            }
        }
        Ok(narrowed(source))
    }
}

/// Keeps the files of which this is true, if there are any; whether there are.
fn keep(files: &mut Vec<TextFile>, is_meant: impl Fn(&TextFile) -> bool) -> bool {
    let any = files.iter().any(&is_meant);
    if any {
        files.retain(is_meant);
    }
    any
}

/// One file is called by its own name.
fn narrowed(mut source: Source) -> Source {
    if let [file] = &source.files[..] {
        source.name = file.pinned();
    }
    source
}

fn is_records(file: &TextFile) -> bool {
    let name = file.to_string();
    [".jsonl", ".jsonl.gz", ".jsonl.zst", ".parquet"].iter().any(|end| name.ends_with(end))
}

fn words(name: &str) -> Vec<String> {
    let lower = name.to_lowercase();
    let words = lower.split(|own: char| !own.is_alphanumeric());
    words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// Whether the words of a name stand side by side.
fn holds(words: &[String], name: &str) -> bool {
    let wanted = self::words(name);
    words.windows(wanted.len()).any(|own| own == wanted)
}

fn of_split(words: &[String], split: &str) -> bool {
    let known = SPLITS.iter().find(|names| names[0] == split).copied().unwrap_or_default();
    words.iter().any(|word| known.contains(&&**word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(names: &[&str], suite: &str, data: HubData) -> Result<Vec<String>> {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let wanted = Wanted { suite, data, is_one_of_several: true };
        let name = folder.path().display().to_string();
        let source = wanted.among(Source::below(folder.path())?, &name)?;
        Ok(source.files.iter().map(|file| file.name_below(folder.path())).collect())
    }

    #[test]
    fn files_are_chosen_by_suite_configuration_and_split() {
        let data = |configuration, split| HubData { dataset: "a/b", configuration, split };
        let names = [
            "arc/arc_easy.jsonl",
            "arc/arc_easy_validation.jsonl",
            "arc/arc_challenge_validation.jsonl.zst",
            "hellaswag/hellaswag_val.jsonl",
            "hellaswag/hellaswag_val.txt",
            "winogrande/winogrande_l/test.parquet",
            "winogrande/winogrande_l/train-0.parquet",
            "winogrande/winogrande_xl/dev-0.parquet",
            "winogrande/winogrande_xl/train-0.parquet",
            "sciq/a.jsonl",
            "sciq/b.jsonl",
        ];
        let cases: [(&str, HubData, &[&str]); 6] = [
            ("arc-easy", data(Some("ARC-Easy"), "test"), &names[1..2]),
            ("arc-challenge", data(Some("ARC-Challenge"), "validation"), &names[2..3]),
            ("hellaswag", data(None, "validation"), &names[3..4]),
            ("winogrande", data(Some("winogrande_xl"), "validation"), &names[7..8]),
            ("winogrande", data(Some("winogrande_xl"), "test"), &names[7..8]),
            ("sciq", data(None, "test"), &names[9..]),
        ];
        for (suite, data, expected) in cases {
            assert_eq!(chosen(&names, suite, data).unwrap(), expected, "{suite}");
        }
        let error = chosen(&names, "swag", data(None, "validation")).unwrap_err().to_string();
        assert!(error.contains("names swag") && error.contains("--data"), "{error}");
    }
}
