//! A server that speaks just enough of PostgreSQL's protocol to turn everybody away.

use std::{
    io::{self, Read, Write},
    net::{TcpListener, TcpStream},
    thread,
};

/// What the server says.
#[derive(Clone, Copy)]
pub struct Refusal {
    pub code: &'static str,
    pub message: &'static str,
}

const WANTS_TLS: u32 = 80_877_103;

/// Listens on a free port for as long as the test runs.
pub fn listen(refusal: Refusal) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            // A client that hangs up early is none that is tested.
            drop(stream.and_then(|stream| refuse(stream, refusal)));
        }
    });
    port
}

fn refuse(mut stream: TcpStream, refusal: Refusal) -> io::Result<()> {
    if read_startup(&mut stream)? == WANTS_TLS {
        stream.write_all(b"N")?;
        read_startup(&mut stream)?;
    }
    // A password in clear text is asked for.
    stream.write_all(&[b'R', 0, 0, 0, 8, 0, 0, 0, 3])?;
    let mut kind = [0];
    stream.read_exact(&mut kind)?;
    read_body(&mut stream)?;
    let mut fields = Vec::new();
    for (name, value) in [('S', "FATAL"), ('V', "FATAL"), ('C', refusal.code), ('M', refusal.message)] {
        fields.push(name as u8);
        fields.extend_from_slice(value.as_bytes());
        fields.push(0);
    }
    fields.push(0);
    let length = u32::try_from(fields.len() + 4).unwrap();
    stream.write_all(&[&b"E"[..], &length.to_be_bytes(), &fields].concat())
}

fn read_startup(stream: &mut TcpStream) -> io::Result<u32> {
    let body = read_body(stream)?;
    Ok(u32::from_be_bytes(body[..4].try_into().unwrap()))
}

fn read_body(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let mut body = vec![0; u32::from_be_bytes(length) as usize - 4];
    stream.read_exact(&mut body)?;
    Ok(body)
}
