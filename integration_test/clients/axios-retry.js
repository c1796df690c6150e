// Calls the URL until a call took a retry, with axios and axios-retry as they come.
import axios from 'axios';
import axiosRetry from 'axios-retry';

axiosRetry(axios);
try {
  let retries = 0;
  for (let call = 1; retries === 0; call++) {
    if (call > 10) throw new Error('the server refused none of 10 calls');
    const { config } = await axios.get(process.argv[2]); // throws unless it ends in success
    retries = config['axios-retry'].retryCount;
  }
} catch (error) {
  console.error(`axios-retry: ${error.message}`); // all of it would fill screens
  process.exitCode = 1;
}
