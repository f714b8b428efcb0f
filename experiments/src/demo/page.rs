//! The page: one file with its styles and its script in it, and the policy under which a browser runs
//! these and nothing else. Knows no model.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

const STYLES: &str = include_str!("page/page.css");
/// The form, and what shows the answers.
const SCRIPT: &str = concat!(
    include_str!("page/page.js"),
    include_str!("page/live.js"),
    include_str!("page/views.js")
);
const BODY: &str = include_str!("page/page.html");

/// A page and its policy.
#[derive(Clone, Debug)]
pub(super) struct Page {
    pub(super) html: String,
    /// The header `Content-Security-Policy`.
    pub(super) policy: String,
}

impl Page {
    pub(super) fn new() -> Self {
        let html = BODY.replacen("/*styles*/", STYLES, 1).replacen("/*script*/", SCRIPT, 1);
        let policy = format!(
            "default-src 'none'; script-src '{}'; style-src '{}'; connect-src 'self'; img-src data:; base-uri \
             'none'; form-action 'none'; frame-ancestors 'none'",
            digest(SCRIPT),
            digest(STYLES)
        );
        Self { html, policy }
    }
}

fn digest(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_needs_nothing_else_and_has_no_way_to_write_html() {
        let Page { html, policy } = Page::new();
        for part in [
            "http://",
            "https://",
            "@import",
            "url(",
            " src=",
            "<link rel=\"s",
            " style=",
            "onclick",
        ] {
            assert!(!html.contains(part), "{part}");
        }
        for part in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("] {
            assert!(!SCRIPT.contains(part), "{part}");
        }
        assert_eq!((html.matches("<script>").count(), html.matches("<style>").count()), (1, 1));
        assert!(html.contains(&format!("<script>{SCRIPT}</script>")));
        assert!(html.contains(&format!("<style>{STYLES}</style>")));
        assert!(policy.contains(&digest(SCRIPT)) && !policy.contains("unsafe"));
    }
}
