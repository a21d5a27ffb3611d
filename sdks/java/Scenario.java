// Written as for Twilio: it knows nothing of Parley.
import com.fasterxml.jackson.databind.ObjectMapper;
import com.sun.net.httpserver.HttpServer;
import com.twilio.Twilio;
import com.twilio.base.Page;
import com.twilio.exception.ApiException;
import com.twilio.rest.conversations.v1.Conversation;
import com.twilio.rest.conversations.v1.configuration.Webhook;
import com.twilio.security.RequestValidator;
import java.net.InetSocketAddress;
import java.net.URLDecoder;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.time.ZoneOffset;
import java.time.ZonedDateTime;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

public class Scenario {
  static List<Integer> failed(Runnable act) {
    try {
      act.run();
      return null;
    } catch (ApiException error) {
      return List.of(error.getStatusCode(), error.getCode());
    }
  }

  static int count(Iterable<Conversation> rows) {
    int count = 0;
    for (Conversation row : rows) count++;
    return count;
  }

  public static void main(String[] args) throws Exception {
    var name = System.getenv("SCENARIO_NAME");
    var token = System.getenv("TWILIO_AUTH_TOKEN");
    Twilio.init(System.getenv("TWILIO_ACCOUNT_SID"), token);
    var json = new ObjectMapper();

    var events = new LinkedBlockingQueue<List<Object>>();
    var validator = new RequestValidator(token);
    var receiver = HttpServer.create(new InetSocketAddress("127.0.0.1", 0), 0);
    receiver.createContext("/", exchange -> {
      var params = new HashMap<String, String>();
      var body = new String(exchange.getRequestBody().readAllBytes(), StandardCharsets.UTF_8);
      for (var pair : body.split("&")) {
        var parts = pair.split("=", 2);
        params.put(URLDecoder.decode(parts[0], StandardCharsets.UTF_8), URLDecoder.decode(parts[1], StandardCharsets.UTF_8));
      }
      var headers = exchange.getRequestHeaders();
      var url = "http://" + headers.getFirst("Host") + exchange.getRequestURI();
      var valid = validator.validate(url, params, headers.getFirst("X-Twilio-Signature"));
      exchange.sendResponseHeaders(200, -1);
      events.add(List.of(params.get("EventType"), params.get("FriendlyName"), valid));
    });
    receiver.start();
    var hook = "http://127.0.0.1:" + receiver.getAddress().getPort() + "/hook?name=" + URLEncoder.encode(name, StandardCharsets.UTF_8);
    var filters = List.of("onConversationAdded", "onConversationUpdated");
    var hooks = Webhook.updater().setMethod("POST").setPostWebhookUrl(hook).setFilters(filters).update();

    var created = Conversation.creator()
        .setFriendlyName(name)
        .setUniqueName(name)
        .setDateCreated(ZonedDateTime.of(2026, 1, 2, 3, 4, 5, 0, ZoneOffset.UTC))
        .setDateUpdated(ZonedDateTime.of(2026, 1, 3, 3, 4, 5, 0, ZoneOffset.UTC))
        .setMessagingServiceSid("MG0123456789abcdef0123456789abcdef")
        .setAttributes(json.writeValueAsString(Map.of("name", name)))
        .setState(Conversation.State.INACTIVE)
        .setTimersInactive("PT5M")
        .setTimersClosed("P1D")
        .setBindingsEmailAddress("support@example.com")
        .setBindingsEmailName(name)
        .setXTwilioWebhookEnabled(Conversation.WebhookEnabledType.TRUE)
        .create();
    var webhook = events.poll(60, TimeUnit.SECONDS);
    receiver.stop(0);

    var byName = Conversation.fetcher(name).fetch();
    var updated = Conversation.updater(created.getSid()).setFriendlyName(name + " again").setState(Conversation.State.ACTIVE).update();
    for (int i = 1; i <= 6; i++) Conversation.creator().setFriendlyName("row " + i).create();
    var pages = new ArrayList<Integer>();
    var reader = Conversation.reader().setPageSize(2L);
    Page<Conversation> page = reader.firstPage();
    while (page != null) {
      pages.add(page.getRecords().size());
      page = page.hasNextPage() ? reader.nextPage(page) : null;
    }
    // It accepts no link that is not below twilio.com.
    reader.getPage(reader.firstPage().getNextPageUrl("conversations"));
    Conversation.updater(created.getSid()).setState(Conversation.State.CLOSED).update();

    var seen = new LinkedHashMap<String, Object>();
    seen.put("created", List.of(created.getFriendlyName(), created.getUniqueName(), created.getAttributes(), created.getState().toString(), created.getMessagingServiceSid()));
    seen.put("dates", created.getDateCreated().withZoneSameInstant(ZoneOffset.UTC).format(DateTimeFormatter.ofPattern("yyyy-MM-dd'T'HH:mm:ss.SSS'Z'")));
    seen.put("timers", new TreeSet<>(json.convertValue(created.getTimers(), Map.class).keySet()));
    seen.put("bindings", json.valueToTree(created.getBindings()).at("/email/name").asText());
    seen.put("byName", byName.getSid().equals(created.getSid()));
    seen.put("updated", List.of(updated.getFriendlyName(), updated.getState().toString()));
    seen.put("pages", pages);
    seen.put("listed", count(Conversation.reader().setPageSize(2L).read()));
    seen.put("closed", count(Conversation.reader().setState(Conversation.State.CLOSED).read()));
    seen.put("early", count(Conversation.reader().setEndDate("2026-01-02").read()));
    seen.put("filters", hooks.getFilters());
    seen.put("webhook", webhook);
    seen.put("notFound", failed(() -> Conversation.fetcher("CH00000000000000000000000000000000").fetch()));
    seen.put("refused", failed(() -> Conversation.updater(created.getSid()).setFriendlyName("x").update()));
    System.out.println(json.writeValueAsString(seen));
  }
}
