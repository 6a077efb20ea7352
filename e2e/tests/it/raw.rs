//! HTTP without a client that knows better: paths with `..` arrive as they were written.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::servers::PATIENCE;

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

/// Sends a request whose first line begins with `head`, a method and a path.
pub async fn send(port: u16, head: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let exchange = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let mut request =
            format!("{head} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\nContent-Length: {}\r\n", body.len());
        headers.iter().for_each(|(name, value)| request.push_str(&format!("{name}: {value}\r\n")));
        request.push_str("\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        // A server that refuses a long body need not read it to its end.
        drop(stream.write_all(body).await);
        let mut bytes = Vec::new();
        let ended = stream.read_to_end(&mut bytes).await;
        assert!(ended.is_ok() || !bytes.is_empty(), "{head}: no answer: {ended:?}");
        bytes
    };
    let bytes = timeout(PATIENCE, exchange).await.unwrap_or_else(|_| panic!("{head}: no answer in time"));
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no HTTP: {text}"));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap();
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}

/// A text as it is compared: how names are set apart, and where lines break, does not count.
pub fn plain(text: &str) -> String {
    text.replace('`', "").split_whitespace().collect::<Vec<_>>().join(" ")
}

impl Answer {
    /// What a person reads on the page, made [`plain`].
    pub fn prose(&self) -> String {
        let text: String = self
            .body
            .split('<')
            .enumerate()
            .map(
                |(at, piece)| {
                    if at == 0 { piece } else { piece.split_once('>').map_or("", |(_, text)| text) }
                },
            )
            .collect();
        let entities = [
            ("&#39;", "'"),
            ("&#34;", "\""),
            ("&quot;", "\""),
            ("&#60;", "<"),
            ("&lt;", "<"),
            ("&#62;", ">"),
            ("&gt;", ">"),
            ("&#38;", "&"),
            ("&amp;", "&"),
        ];
        plain(&entities.iter().fold(text, |text, (entity, letter)| text.replace(entity, letter)))
    }

    /// The values of a header.
    pub fn header<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let fields = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        fields.filter(move |(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}
