package peer;

import io.namastack.outbox.Outbox;
import java.net.URI;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.context.ConfigurableApplicationContext;
import org.springframework.jdbc.core.JdbcTemplate;
import org.springframework.transaction.PlatformTransactionManager;
import org.springframework.transaction.support.TransactionTemplate;

/** Namastack Outbox in a Spring application whose handler publishes to Kafka. Usage: peer fill|relay, with BENCH_* set. */
@SpringBootApplication
public class Peer {
  private static final int TOGETHER = 100;

  public static void main(String[] arguments) throws InterruptedException {
    boolean fills = arguments[0].equals("fill");
    var application = new SpringApplication(Peer.class);
    application.setDefaultProperties(settings(fills));
    ConfigurableApplicationContext context = application.run();
    if (fills) {
      fill(context);
      // Takes the instance off the list, so that the next one need not wait until this one counts as stale.
      context.close();
      System.exit(0);
    }
    Thread.currentThread().join();
  }

  private static Map<String, Object> settings(boolean fills) {
    URI database = URI.create(System.getenv("BENCH_DATABASE"));
    String[] user = database.getUserInfo().split(":", 2);
    Map<String, Object> settings = new HashMap<>();
    settings.put("spring.datasource.url", "jdbc:postgresql://" + database.getHost() + ":" + database.getPort() + database.getPath());
    settings.put("spring.datasource.username", user[0]);
    settings.put("spring.datasource.password", user.length > 1 ? user[1] : "");
    settings.put("spring.datasource.hikari.maximum-pool-size", 20);
    settings.put("spring.main.banner-mode", "off");
    settings.put("logging.level.root", "WARN");
    settings.put("namastack.outbox.polling.batch-size", 1000);
    // Whoever fills publishes nothing.
    settings.put("namastack.outbox.polling.fixed.interval", fills ? "1h" : "100ms");
    settings.put("namastack.outbox.processing.executor-core-pool-size", 16);
    settings.put("namastack.outbox.processing.executor-max-pool-size", 16);
    return settings;
  }

  private static void fill(ConfigurableApplicationContext context) {
    var outbox = context.getBean(Outbox.class);
    var transaction = new TransactionTemplate(context.getBean(PlatformTransactionManager.class));
    List<Event> events = new ArrayList<>(context.getBean(JdbcTemplate.class).query(
        "SELECT account, payload FROM bench_source ORDER BY number",
        (row, number) -> new Event(row.getString(1), row.getString(2))));
    for (int first = 0; first < events.size(); first += TOGETHER) {
      List<Event> some = events.subList(first, Math.min(first + TOGETHER, events.size()));
      transaction.executeWithoutResult(status -> some.forEach(event -> outbox.schedule(event, event.account())));
    }
  }
}
