//! The full capcode: text in lower case, with markers for capitals and for spaces not there.
//!
//! Knows a run of capitals and how its markers are rewritten once it turns out not to be a whole
//! word; the map to raw offsets stays right through that. Undoing it is `decode`'s.

use super::normalize::{Source, Tape};
use super::scalar::{self, Class};
use super::swar::{Eight, HIGH};

/// Writes `source` in lower case with the markers of the full capcode.
pub(super) fn encode_full<const MAPPED: bool>(source: Source<'_>, tape: &mut Tape<MAPPED>) {
    let mut encoder =
        Full { tape, run: None, previous: Class::Other, before_previous: Class::Other };
    let bytes = source.bytes;
    let (mut copied, mut at) = (0, 0);
    while at < bytes.len() {
        if encoder.copies_lower_case()
            && let Some(eight) = Eight::first(&bytes[at..])
            && eight.within(b'a', b'z') | eight.are(b' ') == HIGH
        {
            encoder.before_previous = scalar::classify(&bytes[at + 6..]).0;
            encoder.previous = scalar::classify(&bytes[at + 7..]).0;
            at += 8;
            continue;
        }
        let (class, width) = scalar::classify(&bytes[at..]);
        if encoder.run.is_some() || encoder.changes(class) {
            encoder.tape.copy(source, copied..at);
            encoder.scalar(source, at, width, class);
            copied = at + width;
        }
        encoder.before_previous = encoder.previous;
        encoder.previous = class;
        at += width;
    }
    encoder.tape.copy(source, copied..bytes.len());
}

/// A run of capitals in the making.
#[derive(Clone, Copy)]
struct Run {
    /// Where its `W` stands in the output.
    mark: usize,
    /// The output position just after its first letter.
    second: usize,
    /// Whether a second capital came.
    multi: bool,
}

struct Full<'a, const MAPPED: bool> {
    tape: &'a mut Tape<MAPPED>,
    run: Option<Run>,
    previous: Class,
    before_previous: Class,
}

impl<const MAPPED: bool> Full<'_, MAPPED> {
    /// Whether lower case and spaces are no more than copied, however many there are.
    fn copies_lower_case(&self) -> bool {
        self.run.is_none() && matches!(self.previous, Class::Space | Class::Lower)
    }

    /// Outside a run: whether a scalar of this class is more than copied.
    fn changes(&self, class: Class) -> bool {
        match class {
            Class::Upper => true,
            Class::Lower => match self.previous {
                Class::Space | Class::Lower | Class::Mark => false,
                Class::Apostrophe => !self.before_previous.is_letter(),
                _ => true,
            },
            Class::Number => !matches!(self.previous, Class::Space | Class::Number),
            _ => false,
        }
    }

    /// One scalar that is in a run, or begins one, or wants a marker.
    fn scalar(&mut self, source: Source<'_>, at: usize, width: usize, class: Class) {
        match (self.run, class) {
            (None, Class::Upper) => self.begin_run(source, at, width),
            (None, _) => {
                self.tape.insert(b"D ");
                self.tape.copy(source, at..at + width);
            }
            (Some(run), Class::Upper) => {
                if !self.previous.joins() {
                    self.tape.insert(b"D ");
                }
                self.run = Some(Run { multi: true, ..run });
                self.lower(source, at, width);
            }
            (Some(run), Class::Lower) => {
                self.run = None;
                self.tape.bytes[run.mark] = b'C';
                if run.multi {
                    self.capitals_one_by_one(run.second);
                }
                if !self.previous.joins() {
                    self.tape.insert(b"D ");
                }
                self.tape.copy(source, at..at + width);
            }
            (Some(_), Class::Number) => {
                if self.previous != Class::Number {
                    self.tape.insert(b"D ");
                }
                self.tape.copy(source, at..at + width);
            }
            (Some(_), _) => {
                if !matches!(class, Class::Apostrophe | Class::Mark) {
                    self.run = None;
                }
                self.tape.copy(source, at..at + width);
            }
        }
    }

    fn begin_run(&mut self, source: Source<'_>, at: usize, width: usize) {
        if self.previous == Class::Space {
            self.tape.mark_last_space(b'W');
        } else {
            self.tape.insert(b"DW ");
        }
        let mark = self.tape.bytes.len() - 2;
        self.lower(source, at, width);
        self.run = Some(Run { mark, second: self.tape.bytes.len(), multi: false });
    }

    fn lower(&mut self, source: Source<'_>, at: usize, width: usize) {
        let scalar = scalar::at(&source.bytes[at..]);
        let lowered = scalar.map(scalar::lower);
        match lowered {
            Some(lowered) if Some(lowered) != scalar => {
                let mut buffer = [0; 4];
                let bytes = lowered.encode_utf8(&mut buffer).as_bytes();
                self.tape.replace(bytes, source.end(at + width - 1));
            }
            _ => self.tape.copy(source, at..at + width),
        }
    }

    /// Marks each letter from `second` on as a capital of its own: the word was not all capitals.
    fn capitals_one_by_one(&mut self, second: usize) {
        let tail = self.tape.split_off(second);
        let source = tail.source();
        let mut at = 0;
        while at < source.bytes.len() {
            let marked = source.bytes[at..].starts_with(b"D ");
            let letter = if marked { at + 2 } else { at };
            let (class, width) = scalar::classify(&source.bytes[letter..]);
            match class {
                Class::Lower => self.tape.insert(b"DC "),
                _ if marked => self.tape.insert(b"D "),
                _ => {}
            }
            self.tape.copy(source, letter..letter + width);
            at = letter + width;
        }
    }
}
