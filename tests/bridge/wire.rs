//! The way of a bridge to RabbitMQ, which a test cuts and mends.

use messagekit_tests::services;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

pub(crate) struct Wire {
    /// The broker's URL by this way.
    pub(crate) url: String,
    cut: watch::Sender<bool>,
}

impl Wire {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (url, address) = (services::amqp_url(), listener.local_addr().unwrap());
        let (login, rest) = url.split_once('@').unwrap();
        let (host, vhost) = rest.split_once('/').unwrap();
        let (broker, url) = (host.to_owned(), format!("{login}@{address}/{vhost}"));
        let (cut, is_cut) = watch::channel(false);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, broker.clone(), is_cut.clone()));
            }
        });
        Self { url, cut }
    }

    /// Ends every connection, and each new one at once.
    pub(crate) fn cut(&self) {
        self.cut.send_replace(true);
    }

    pub(crate) fn mend(&self) {
        self.cut.send_replace(false);
    }
}

async fn carry(mut client: TcpStream, broker: String, mut is_cut: watch::Receiver<bool>) {
    let carried = async {
        let mut broker = TcpStream::connect(broker).await?;
        copy_bidirectional(&mut client, &mut broker).await
    };
    tokio::select! {
        biased;
        _ = is_cut.wait_for(|cut| *cut) => {}
        _ = carried => {}
    }
}
