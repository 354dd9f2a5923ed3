// What a Java program does with the PostgreSQL driver: metadata, a cursor in portions, a statement prepared and run often.

import java.sql.*;
import java.time.Instant;
import java.util.Properties;

class Jdbc {
    public static void main(String[] arguments) throws Exception {
        var properties = new Properties();
        properties.setProperty("user", arguments[1]);
        properties.setProperty("password", arguments[2]);
        try (var link = DriverManager.getConnection(arguments[0], properties)) {
            var metadata = link.getMetaData();
            try (var tables = metadata.getTables(null, "public", "%", new String[] {"TABLE", "VIEW"})) {
                while (tables.next()) System.out.println("table " + tables.getString("TABLE_NAME"));
            }
            try (var columns = metadata.getColumns(null, "public", "samples", "%")) {
                while (columns.next()) {
                    System.out.println("column " + columns.getString("COLUMN_NAME") + " " + columns.getString("TYPE_NAME") + " " + columns.getInt("DATA_TYPE"));
                }
            }
            try (var schemas = metadata.getSchemas()) {
                while (schemas.next()) System.out.println("schema " + schemas.getString("TABLE_SCHEM"));
            }
            try (var keys = metadata.getPrimaryKeys(null, "public", "samples")) {
                while (keys.next()) System.out.println("key " + keys.getString("COLUMN_NAME"));
            }
            link.setAutoCommit(false);
            try (var statement = link.prepareStatement("SELECT ts, value FROM samples WHERE path = ? ORDER BY ts")) {
                statement.setFetchSize(100);
                statement.setString(1, "works/line1/pressure");
                var count = 0;
                try (var rows = statement.executeQuery()) {
                    while (rows.next()) {
                        if (count++ == 0) System.out.println("first " + rows.getTimestamp(1).toInstant() + " " + rows.getDouble(2));
                    }
                }
                System.out.println("rows " + count);
            }
            link.commit();
            link.setAutoCommit(true);
            // After five times the driver keeps the statement on the server and speaks binary.
            try (var statement = link.prepareStatement("SELECT count(*), max(ts), max(value) FROM samples WHERE path = ? AND ts >= ? AND ts < ?")) {
                for (var n = 0; n < 8; n++) {
                    statement.setString(1, "works/line1/pressure");
                    statement.setObject(2, Instant.parse("2026-11-01T06:01:00Z").atOffset(java.time.ZoneOffset.UTC));
                    statement.setTimestamp(3, Timestamp.from(Instant.parse("2026-11-01T06:02:00Z")));
                    try (var rows = statement.executeQuery()) {
                        rows.next();
                        System.out.println("prepared " + rows.getLong(1));
                    }
                }
            }
            try (var statement = link.createStatement()) {
                statement.executeUpdate("CREATE TABLE t (a int)");
                System.out.println("created");
            } catch (SQLException refused) {
                System.out.println("refused " + refused.getSQLState());
            }
        }
    }
}
