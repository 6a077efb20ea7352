//! The forms that a secret takes when programs write it down: escaped for a URL, for JSON, by Python's `repr`, for a shell, for HTML, and
//! as base64 or hexadecimal digits.

use std::collections::BTreeSet;
use std::fmt::Write;

/// Longer secrets, in bytes, are known in their commonest forms only: all forms together are some forty times as long.
const LONG: usize = 16 << 10;
/// A shorter piece of base64 is not hidden: it could be a piece of something else.
const SHORTEST_BASE64: usize = 6;
/// What is left as it is in a URL beside letters, digits and `-_.~`: nothing by Python's `quote(text, safe="")`, `/` by its `quote`, the
/// others by JavaScript and by what builds addresses with a login (RFC 3986, `userinfo`, and `pchar` with `/`).
const LEFT_IN_URLS: [&str; 5] = ["", "/", "!'()*", "!$&'()*+,;=:", "!$&'()*+,;=:@/"];

/// All forms of `secret`, itself among them.
pub(super) fn forms(secret: &str) -> BTreeSet<String> {
    let escapes: [fn(&str) -> String; 6] = [
        json,
        json_ascii,
        repr,
        |text| in_apostrophes(&repr(text)),
        ascii,
        |text| in_apostrophes(&ascii(text)),
    ];
    let mut forms = BTreeSet::from([secret.to_owned()]);
    forms.extend(escapes.iter().map(|escape| escape(secret)));
    if secret.len() > LONG {
        return forms;
    }
    // A text in a text: a traceback that quotes a message that quotes a value, JSON as a value of JSON.
    let twice: Vec<String> =
        forms.iter().flat_map(|form| escapes.iter().map(|escape| escape(form))).collect();
    forms.extend(twice);
    forms.extend([python_bytes(secret), in_apostrophes(&python_bytes(secret))]);
    // A value in an address may be JSON: the extra of a connection is.
    for (text, left) in [secret.to_owned(), json(secret), json_ascii(secret)]
        .iter()
        .flat_map(|text| LEFT_IN_URLS.map(|left| (text, left)))
    {
        let upper = percent_encoded(text, left);
        forms.insert(upper.replace("%20", "+"));
        let lower = percent_encoded_in_lower_case(text, left);
        forms.insert(lower.replace("%20", "+"));
        forms.extend([upper, lower]);
    }
    forms.insert(json_in_html(secret));
    forms.extend(["&#39;", "&#x27;", "&#34;"].map(|quote| html(secret, quote)));
    // By Python's `shlex.quote`, and by a shell that tells what it runs.
    forms.extend(["'\"'\"'", "'\\''"].map(|quote| secret.replace('\'', quote)));
    let hexadecimal = |byte: u8| format!("{byte:02x}");
    let digits: String = secret.bytes().map(hexadecimal).collect();
    forms.extend([digits.to_uppercase(), digits]);
    forms.extend(base64(secret.as_bytes()));
    forms
}

/// As JSON has it when it is allowed all characters.
fn json(text: &str) -> String {
    let quoted = serde_json::to_string(text).unwrap_or_default();
    quoted.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or_default().to_owned()
}

/// As Python's `json.dumps` has it: in ASCII.
fn json_ascii(text: &str) -> String {
    let mut units = [0; 2];
    json(text).chars().fold(String::new(), |mut form, letter| {
        if letter.is_ascii() && letter != '\x7f' {
            form.push(letter);
        } else {
            escaped_units(letter.encode_utf16(&mut units), &mut form);
        }
        form
    })
}

/// As Jinja's filter `tojson` has it.
fn json_in_html(text: &str) -> String {
    let escapes = [('<', "\\u003c"), ('>', "\\u003e"), ('&', "\\u0026"), ('\'', "\\u0027")];
    escapes.iter().fold(json_ascii(text), |form, (letter, escape)| form.replace(*letter, escape))
}

fn escaped_units(units: &[u16], form: &mut String) {
    for unit in units {
        // Writing to a text cannot fail.
        let _written = write!(form, "\\u{unit:04x}");
    }
}

/// As Python's `repr` has it between the quotes that need no escape.
fn repr(text: &str) -> String {
    text.chars().fold(String::new(), |form, letter| form + &as_python(letter, letter.is_control()))
}

/// As Python has what it has escaped, when there are quotes of both kinds in it or around it.
fn in_apostrophes(escaped: &str) -> String {
    escaped.replace('\'', "\\'")
}

/// As Python's `ascii` has it.
fn ascii(text: &str) -> String {
    let is_odd = |letter: char| letter.is_control() || !letter.is_ascii();
    text.chars().fold(String::new(), |form, letter| form + &as_python(letter, is_odd(letter)))
}

fn as_python(letter: char, is_odd: bool) -> String {
    match (letter, u32::from(letter)) {
        ('\\', _) => "\\\\".to_owned(),
        ('\n', _) => "\\n".to_owned(),
        ('\r', _) => "\\r".to_owned(),
        ('\t', _) => "\\t".to_owned(),
        (letter, _) if !is_odd => letter.to_string(),
        (_, code @ ..=0xff) => format!("\\x{code:02x}"),
        (_, code @ ..=0xffff) => format!("\\u{code:04x}"),
        (_, code) => format!("\\U{code:08x}"),
    }
}

/// As Python's `repr` has its bytes.
fn python_bytes(text: &str) -> String {
    let is_odd = |letter: char| letter.is_control() || !letter.is_ascii();
    let bytes = text.bytes().map(char::from);
    bytes.fold(String::new(), |form, letter| form + &as_python(letter, is_odd(letter)))
}

/// As it stands in a URL, with digits in upper case; `left` is not encoded.
fn percent_encoded(text: &str, left: &str) -> String {
    encoded(text, left, |byte| format!("%{byte:02X}"))
}

fn percent_encoded_in_lower_case(text: &str, left: &str) -> String {
    encoded(text, left, |byte| format!("%{byte:02x}"))
}

fn encoded(text: &str, left: &str, encode: impl Fn(u8) -> String) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    let is_left = |byte: u8| is_plain(byte) || left.as_bytes().contains(&byte);
    text.bytes().map(|byte| if is_left(byte) { char::from(byte).to_string() } else { encode(byte) }).collect()
}

fn html(text: &str, apostrophe: &str) -> String {
    let quote = if apostrophe == "&#34;" { "&#34;" } else { "&quot;" };
    let apostrophe = if apostrophe == "&#34;" { "&#39;" } else { apostrophe };
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace('"', quote).replace('\'', apostrophe)
}

/// As it stands in base64 of both alphabets, with something before and behind it or not: a login header has the user's name before the
/// password. What shares a letter with its neighbours is left out.
fn base64(bytes: &[u8]) -> impl Iterator<Item = String> {
    let mut found = Vec::new();
    for before in 0..3 {
        let whole = [&[0; 3][..before], bytes].concat();
        let letters = in_base64(&whole);
        // Six bits a letter, eight a byte.
        let (first, last) = ((before * 8).div_ceil(6), whole.len() * 8 / 6);
        let padding = "=".repeat((3 - whole.len() % 3) % 3);
        found.push(letters.get(first..last).unwrap_or_default().to_owned());
        found.push(format!("{}{padding}", letters.get(first..).unwrap_or_default()));
    }
    let in_urls: Vec<String> = found.iter().map(|form| form.replace('+', "-").replace('/', "_")).collect();
    found.into_iter().chain(in_urls).filter(|form| form.len() >= SHORTEST_BASE64)
}

/// Without padding.
fn in_base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len() * 4 / 3 + 1);
    for chunk in bytes.chunks(3) {
        let byte = |place: usize| u32::from(chunk.get(place).copied().unwrap_or_default());
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        let letters = [18, 12, 6, 0].map(|shift| char::from(LETTERS[(bits >> shift & 63) as usize]));
        text.extend(&letters[..=chunk.len()]);
    }
    text
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::forms;

    const ODD: &str = "p@ss w/ö'\"\\€🔑%\t.";

    // Each as Python 3 writes it.
    #[test_case(r#"p@ss w/ö\'"\\€🔑%\t."# ; "repr")]
    #[test_case(r#"p@ss w/\xf6\'"\\\u20ac\U0001f511%\t."# ; "ascii")]
    #[test_case(r#"p@ss w/\xc3\xb6\'"\\\xe2\x82\xac\xf0\x9f\x94\x91%\t."# ; "bytes")]
    #[test_case(r#"p@ss w/\u00f6'\"\\\u20ac\ud83d\udd11%\t."# ; "json")]
    #[test_case(r#"p@ss w/ö'\"\\€🔑%\t."# ; "json of all characters")]
    #[test_case(r#"p@ss w/\\u00f6'\\\"\\\\\\u20ac\\ud83d\\udd11%\\t."# ; "json in json")]
    #[test_case(r#"p@ss w/\u00f6\u0027\"\\\u20ac\ud83d\udd11%\t."# ; "tojson")]
    #[test_case("p%40ss+w%2F%5Cu00f6%27%5C%22%5C%5C%5Cu20ac%5Cud83d%5Cudd11%25%5Ct." ; "json in an address")]
    #[test_case(r#"p@ss w/ö\\\'"\\\\€🔑%\\t."# ; "repr in repr")]
    #[test_case("p%40ss%20w%2F%C3%B6%27%22%5C%E2%82%AC%F0%9F%94%91%25%09." ; "quote with nothing safe")]
    #[test_case("p%40ss%20w/%C3%B6%27%22%5C%E2%82%AC%F0%9F%94%91%25%09." ; "quote")]
    #[test_case("p%40ss+w%2F%C3%B6%27%22%5C%E2%82%AC%F0%9F%94%91%25%09." ; "quote_plus")]
    #[test_case("p%40ss%20w%2f%c3%b6%27%22%5c%e2%82%ac%f0%9f%94%91%25%09." ; "lower case")]
    #[test_case("p%40ss%20w%2F%C3%B6'%22%5C%E2%82%AC%F0%9F%94%91%25%09." ; "JavaScript")]
    #[test_case("p@ss w/ö&#x27;&quot;\\€🔑%\t." ; "html")]
    #[test_case("p@ss w/ö'\"'\"'\"\\€🔑%\t." ; "shlex")]
    #[test_case("7040737320772fc3b627225ce282acf09f94912509" ; "hexadecimal")]
    fn forms_are_those_of_python(expected: &str) {
        let found = forms(ODD);
        // The hexadecimal one goes on with the full stop.
        assert!(found.iter().any(|form| form.starts_with(expected)), "{expected}\n{found:#?}");
    }

    #[test]
    fn base64_is_known_wherever_it_begins() {
        let found = forms("hunter2-hunter2");
        // base64 of "hunter2-hunter2", "a:hunter2-hunter2", "ab:hunter2-hunter2\n" and "abc:hunter2-hunter2".
        for whole in [
            "aHVudGVyMi1odW50ZXIy",
            "YTpodW50ZXIyLWh1bnRlcjI=",
            "YWI6aHVudGVyMi1odW50ZXIyCg==",
            "YWJjOmh1bnRlcjItaHVudGVyMg==",
        ] {
            let hidden = found.iter().filter(|form| whole.contains(form.as_str())).map(String::len).max();
            let most = whole.trim_end_matches('=').len();
            assert!(hidden.is_some_and(|hidden| hidden + 10 >= most && hidden >= 18), "{whole}: {hidden:?}");
        }
    }

    #[test]
    fn an_ordinary_secret_has_few_forms() {
        assert!(forms("hunter2000").len() < 20, "{:?}", forms("hunter2000"));
    }
}
