//! What is done to a document before it is tokenised, as a recipe says. Pure text.

use unicode_normalization::UnicodeNormalization;

use crate::train::recipe::Cleaning;

impl Cleaning {
    /// The cleaned text.
    pub fn apply(self, text: &str) -> String {
        let mut text = if self.nfkc { text.nfkc().collect() } else { text.to_owned() };
        if self.strip_lines {
            let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
            text = lines.collect::<Vec<_>>().join(" ");
        }
        if self.collapse_whitespace {
            text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Cleaning = Cleaning { nfkc: true, strip_lines: true, collapse_whitespace: true };
    const NONE: Cleaning = Cleaning { nfkc: false, strip_lines: false, collapse_whitespace: false };

    #[test]
    fn the_card_of_stentor2() {
        let text = "  A ﬁrst\u{a0}line \n\n\t second\t\tline\u{3000}\r\nthird ";
        assert_eq!(ALL.apply(text), "A first line second line third");
    }

    #[test]
    fn each_step_is_its_own() {
        let text = " a\u{a0}b \n\n ½ ";
        assert_eq!(NONE.apply(text), text);
        assert_eq!(Cleaning { nfkc: true, ..NONE }.apply(text), " a b \n\n 1⁄2 ");
        assert_eq!(Cleaning { strip_lines: true, ..NONE }.apply(text), "a\u{a0}b ½");
        assert_eq!(Cleaning { collapse_whitespace: true, ..NONE }.apply(text), "a b ½");
    }
}
