//! What people wrote, as HTML that can do no harm: Markdown about a DAG or a task, and long names.

use std::fmt;

use askama::filters::HtmlSafe;
use pulldown_cmark::{CodeBlockKind, Event, HeadingLevel, Options, Parser, Tag, TagEnd, html};

/// Bytes of a text that are shown; what follows is left out.
const LONGEST: usize = 65_536;
/// Schemes that a link may have. Anything else, `javascript:` first of all, is no link.
const SCHEMES: [&str; 3] = ["http", "https", "mailto"];

/// HTML that was made from Markdown: without tags or attributes of the writer's own, without images, and with links of
/// harmless kinds alone. A template may show it as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Prose(String);

impl Prose {
    /// Reads Markdown with tables and ~~strikethrough~~. Tags in it are shown as they were typed, an image is its description,
    /// and headings begin below those of the page.
    pub(crate) fn from_markdown(text: &str) -> Self {
        let shown = beginning(text);
        let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH;
        let mut links = Links::default();
        let events = Parser::new_ext(shown, options).filter_map(|event| tame(event, &mut links));
        let mut page = String::with_capacity(shown.len() * 3 / 2);
        html::push_html(&mut page, events);
        Self(page)
    }

    /// One of our own messages, which put names between backticks: those become code.
    pub(crate) fn from_message(message: impl AsRef<str>) -> Self {
        let mut page = String::with_capacity(message.as_ref().len() * 2);
        let mut parts = message.as_ref().split('`').peekable();
        let mut is_code = false;
        while let Some(part) = parts.next() {
            let is_last = parts.peek().is_none();
            // The last backtick of an odd number of them begins nothing.
            let (open, close) = if is_code && !is_last { ("<code>", "</code>") } else { ("", "") };
            let stray = if is_code && is_last { "`" } else { "" };
            page.push_str(stray);
            page.push_str(open);
            part.chars().for_each(|c| escape(c, &mut page));
            page.push_str(close);
            is_code = !is_code;
        }
        Self(page)
    }

    /// A name that may be broken after its punctuation, as it has no spaces: `extract_<wbr>flights`.
    pub(crate) fn from_name(name: impl AsRef<str>) -> Self {
        let mut page = String::with_capacity(name.as_ref().len() * 2);
        for c in name.as_ref().chars() {
            escape(c, &mut page);
            if matches!(c, '_' | '.' | '/' | ':' | '+') {
                page.push_str("<wbr>");
            }
        }
        Self(page)
    }
}

impl HtmlSafe for Prose {}

fn beginning(text: &str) -> &str {
    let mut end = text.len().min(LONGEST);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

fn escape(c: char, page: &mut String) {
    match c {
        '&' => page.push_str("&amp;"),
        '<' => page.push_str("&lt;"),
        '>' => page.push_str("&gt;"),
        '"' => page.push_str("&quot;"),
        '\'' => page.push_str("&#39;"),
        _ => page.push(c),
    }
}

impl fmt::Display for Prose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// For each link that is open, whether it is shown as one.
#[derive(Debug, Default)]
struct Links(Vec<bool>);

fn tame<'a>(event: Event<'a>, links: &mut Links) -> Option<Event<'a>> {
    match event {
        Event::Start(tag) => start(tag, links).map(Event::Start),
        Event::End(tag) => end(tag, links).map(Event::End),
        Event::Html(text) | Event::InlineHtml(text) => Some(Event::Text(text)),
        Event::Text(_)
        | Event::Code(_)
        | Event::InlineMath(_)
        | Event::DisplayMath(_)
        | Event::FootnoteReference(_)
        | Event::SoftBreak
        | Event::HardBreak
        | Event::Rule
        | Event::TaskListMarker(_) => Some(event),
    }
}

fn start<'a>(tag: Tag<'a>, links: &mut Links) -> Option<Tag<'a>> {
    if let Tag::Link { dest_url, .. } = &tag {
        let is_shown = is_harmless(dest_url);
        links.0.push(is_shown);
        return is_shown.then_some(tag);
    }
    if let Tag::Heading { level, .. } = tag {
        let level = lowered(level);
        return Some(Tag::Heading { level, id: None, classes: Vec::new(), attrs: Vec::new() });
    }
    if let Tag::CodeBlock(_) = tag {
        return Some(Tag::CodeBlock(CodeBlockKind::Indented));
    }
    if let Tag::HtmlBlock = tag {
        return Some(Tag::Paragraph);
    }
    (!matches!(tag, Tag::Image { .. })).then_some(tag)
}

fn end(tag: TagEnd, links: &mut Links) -> Option<TagEnd> {
    if let TagEnd::Heading(level) = tag {
        return Some(TagEnd::Heading(lowered(level)));
    }
    if let TagEnd::HtmlBlock = tag {
        return Some(TagEnd::Paragraph);
    }
    let is_shown = tag != TagEnd::Image && (tag != TagEnd::Link || links.0.pop().unwrap_or(false));
    is_shown.then_some(tag)
}

/// A page has one heading of the first level, its parts have the second.
fn lowered(level: HeadingLevel) -> HeadingLevel {
    match level {
        HeadingLevel::H1 => HeadingLevel::H3,
        HeadingLevel::H2 => HeadingLevel::H4,
        HeadingLevel::H3 => HeadingLevel::H5,
        HeadingLevel::H4 | HeadingLevel::H5 | HeadingLevel::H6 => HeadingLevel::H6,
    }
}

/// Whether an address is relative or has one of [`SCHEMES`]. Browsers skip control characters in a scheme, so an address with one
/// is none of ours.
fn is_harmless(address: &str) -> bool {
    if address.chars().any(char::is_control) {
        return false;
    }
    let before_path = address.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    match before_path.split_once(':') {
        Some((scheme, _)) => SCHEMES.iter().any(|allowed| scheme.eq_ignore_ascii_case(allowed)),
        None => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn html(markdown: &str) -> String {
        Prose::from_markdown(markdown).to_string()
    }

    #[test]
    fn markdown_becomes_html() {
        let text = "# Ledger\n\nEach *night*, **all** `rows`. ~~Never~~\n\n- one\n- two\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n```sql\nselect 1 < 2\n```\n";
        let shown = html(text);
        for part in [
            "<h3>Ledger</h3>",
            "<em>night</em>",
            "<strong>all</strong>",
            "<code>rows</code>",
            "<del>Never</del>",
            "<li>one</li>",
            "<td>2</td>",
            "<pre><code>select 1 &lt; 2\n</code></pre>",
        ] {
            assert!(shown.contains(part), "{part} in {shown}");
        }
    }

    #[test]
    fn tags_are_shown_as_they_were_typed() {
        let tries = [
            "<script>alert(1)</script>",
            "a <img src=x onerror=alert(1)> b",
            "<svg/onload=alert(1)>",
            "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
            "<!-- --><style>*{display:none}</style>",
            "<a href='javascript:alert(1)'>x</a>",
            "`<b>` and <b onmouseover=alert(1)>bold</b>",
            "> <form action=//evil><input></form>",
            "| <script>alert(1)</script> |\n|---|\n| <img src=x> |",
            "<details open ontoggle=alert(1)>",
            "[<script>alert(1)</script>](/x)",
            "![<script>alert(1)</script>](x.png)",
        ];
        let own = [
            "p",
            "/p",
            "a",
            "/a",
            "code",
            "/code",
            "blockquote",
            "/blockquote",
            "table",
            "/table",
            "thead",
            "/thead",
            "tbody",
            "/tbody",
            "tr",
            "/tr",
            "th",
            "/th",
            "td",
            "/td",
        ];
        for text in tries {
            let shown = html(text);
            for tag in shown.split('<').skip(1) {
                let name = tag.split(['>', ' ']).next().unwrap();
                assert!(own.contains(&name), "<{tag} in {shown}");
            }
        }
    }

    #[test]
    fn only_harmless_links_are_links() {
        let harmless = [
            "https://example.com/a?b=c#d",
            "http://x",
            "mailto:ada@example.com",
            "/dags/a",
            "a/b:c",
            "#top",
            "?q=a:b",
            "",
        ];
        for address in harmless {
            assert!(html(&format!("[x](<{address}>)")).contains("<a href="), "{address}");
        }
        let harmful = [
            "javascript:alert(1)",
            "JavaScript:alert(1)",
            "javascript&colon;alert(1)",
            "&#106;avascript:alert(1)",
            "java&Tab;script:alert(1)",
            "&#1;javascript:alert(1)",
            "vbscript:x",
            "data:text/html,<script>alert(1)</script>",
            "file:///etc/passwd",
            "blob:https://x",
            " javascript:alert(1)",
        ];
        for address in harmful {
            let shown = html(&format!("[x](<{address}>)"));
            assert!(!shown.contains("<a"), "{address}: {shown}");
            assert!(shown.contains('x'), "its text stays: {shown}");
        }
        assert!(!html("<javascript:alert(1)>").contains("<a"));
        assert!(!html("[x]\n\n[x]: javascript:alert(1)").contains("<a"));
        assert!(html("<ada@example.com>").contains("href=\"mailto:ada@example.com\""));
    }

    #[test]
    fn addresses_and_titles_cannot_leave_their_attributes() {
        let shown = html("[x](</a\" onclick=\"alert(1)> \"t\\\" onclick=\\\"alert(1)\")");
        assert!(!shown.contains("\" onclick"), "{shown}");
        let shown = html("```sql\" onclick=\"alert(1)\nx\n```");
        assert_eq!(shown, "<pre><code>x\n</code></pre>\n");
    }

    #[test]
    fn an_image_is_its_description() {
        assert_eq!(html("![a chart](https://tracker.example/x.png)"), "<p>a chart</p>\n");
        assert_eq!(html("[![a chart](x.png)](javascript:alert)"), "<p>a chart</p>\n");
        assert!(html("[![a chart](x.png)](https://x)").contains(">a chart</a>"));
    }

    #[test]
    fn a_name_may_be_broken_and_nothing_else() {
        assert_eq!(Prose::from_name("by_origin.EWR").to_string(), "by_<wbr>origin.<wbr>EWR");
        assert_eq!(Prose::from_name("<b a=\"'\">&").to_string(), "&lt;b a=&quot;&#39;&quot;&gt;&amp;");
    }

    #[test]
    fn names_in_a_message_are_code() {
        let cases = [
            (
                "unknown key `retrys`: did you mean `retries`?",
                "unknown key <code>retrys</code>: did you mean <code>retries</code>?",
            ),
            ("no name", "no name"),
            ("`<b>`", "<code>&lt;b&gt;</code>"),
            ("one ` alone <b>", "one ` alone &lt;b&gt;"),
            ("`a` and `b", "<code>a</code> and `b"),
        ];
        for (message, page) in cases {
            assert_eq!(Prose::from_message(message).to_string(), page);
        }
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let shown = html(&("x".to_owned() + &"ü".repeat(LONGEST)));
        assert_eq!(shown.matches('ü').count(), LONGEST / 2 - 1);
    }
}
