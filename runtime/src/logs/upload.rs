//! Sending a file to storage in pieces.

use std::path::Path;

use bytes::BytesMut;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore, ObjectStoreExt, WriteMultipart};
use tokio::fs::File;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::Error;

/// The size of a piece. S3 takes no smaller ones than 5 MiB and at most 10,000: files of up to 78 GiB.
const PIECE: usize = 8 * 1024 * 1024;

/// How many pieces are on their way at once.
const PIECES_AT_ONCE: usize = 2;

/// The most bytes asked of the file at once.
const READ: usize = 256 * 1024;

/// Sends up to `most` bytes of `file` to `path` and returns how many there were. `local` names it in errors. The
/// object appears whole or not at all.
pub(super) async fn send(
    store: &dyn ObjectStore,
    path: &ObjectPath,
    file: File,
    local: &Path,
    most: u64,
) -> Result<u64, Error> {
    let mut file = file.take(most);
    let first = read_piece(&mut file, local).await?;
    if first.len() < PIECE {
        let size = first.len() as u64;
        store.put(path, first.freeze().into()).await.map_err(Error::Storage)?;
        return Ok(size);
    }
    let started = store.put_multipart(path).await.map_err(Error::Storage)?;
    let mut upload = WriteMultipart::new_with_chunk_size(started, PIECE);
    match send_pieces(&mut upload, first, &mut file, local).await {
        Ok(size) => {
            upload.finish().await.map_err(Error::Storage)?;
            Ok(size)
        }
        Err(error) => {
            if let Err(abort) = upload.abort().await {
                tracing::warn!(error = %abort, %path, "taking back the pieces of an unfinished upload");
            }
            Err(error)
        }
    }
}

async fn send_pieces(
    upload: &mut WriteMultipart,
    first: BytesMut,
    file: &mut (impl AsyncRead + Unpin),
    local: &Path,
) -> Result<u64, Error> {
    let mut size = 0;
    let mut piece = first;
    while !piece.is_empty() {
        size += piece.len() as u64;
        upload.wait_for_capacity(PIECES_AT_ONCE).await.map_err(Error::Storage)?;
        upload.put(piece.freeze());
        piece = read_piece(file, local).await?;
    }
    Ok(size)
}

/// A whole piece, or less at the end of the file.
async fn read_piece(file: &mut (impl AsyncRead + Unpin), local: &Path) -> Result<BytesMut, Error> {
    let mut piece = BytesMut::new();
    while piece.len() < PIECE {
        piece.reserve(READ.min(PIECE - piece.len()));
        let mut rest = (&mut *file).take((PIECE - piece.len()) as u64);
        let read = rest.read_buf(&mut piece).await;
        let read = read.map_err(|source| Error::File { doing: "reading", path: local.to_owned(), source })?;
        if read == 0 {
            break;
        }
    }
    Ok(piece)
}
