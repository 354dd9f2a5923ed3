//! Who counts as one stranger on the network.

use std::net::{IpAddr, Ipv6Addr};

/// What limits for one stranger are counted under: an IPv4 address; of an IPv6 address its network (/64), for whoever
/// has one address of it usually has all 2^64. An IPv4 address in IPv6 dress is the IPv4 address.
#[must_use]
pub fn source_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(six) if !six.is_loopback() => IpAddr::V6(Ipv6Addr::from_bits(six.to_bits() & !u128::from(u64::MAX))),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::source_of;
    use std::net::IpAddr;

    #[test]
    fn an_ipv6_network_is_one_stranger_and_an_ipv4_address_is() {
        let source = |text: &str| source_of(text.parse::<IpAddr>().expect("an address")).to_string();
        assert_eq!(source("2001:db8:1:2:3:4:5:6"), source("2001:db8:1:2:ffff::1"));
        assert_ne!(source("2001:db8:1:2::1"), source("2001:db8:1:3::1"));
        assert_eq!(source("::ffff:192.0.2.7"), "192.0.2.7");
        assert_ne!(source("192.0.2.7"), source("192.0.2.8"));
        assert_eq!(source("::1"), "::1");
    }
}
